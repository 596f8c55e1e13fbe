package image

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/corpus"
)

// largest bounds the unpacked size of the image, in bytes.
const largest = 60_000_000

// TestImage: the image is small, has one layer, labels, and a user that is not root. Nothing in it
// is writable for all, except where a tmpfs belongs.
func TestImage(t *testing.T) {
	c := inspect(t, name).OCIv1
	if c.Config.User != "10001:10001" {
		t.Errorf("the user is %q", c.Config.User)
	}
	if len(c.RootFS.DiffIDs) != 1 {
		t.Errorf("%d layers, want 1", len(c.RootFS.DiffIDs))
	}
	wantLabels(t, inspect(t, name))
	root := mount(t, name)
	size, seen := int64(0), map[uint64]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		in, stat := strings.TrimPrefix(path, root), info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm()&0o022 != 0 && in != "/tmp" && in != "/run/logger" {
			t.Errorf("%s may be written by others: %s", in, info.Mode())
		}
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			t.Errorf("%s is %s", in, info.Mode())
		}
		if info.Mode().IsRegular() && !seen[stat.Ino] {
			seen[stat.Ino] = true
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes in %d layer", size, len(c.RootFS.DiffIDs))
	if size > largest {
		t.Errorf("%d bytes, want at most %d", size, largest)
	}
}

// TestMainJob: the image takes the corpus from nsqd and returns it byte for byte.
func TestMainJob(t *testing.T) {
	for storage, env := range harness.Storages {
		t.Run(storage, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := run(t, name, harness.NSQEnv(queue.TCPAddr()), env(t))
			wantUser(t, l, 10001)
			queue.Publish("logs", corpus.Messages()...)
			l.Settled(corpus.Records())
			const arrived = "TIME-OF-ARRIVAL"
			compared := 0
			for app, want := range corpus.Expected(arrived) {
				if strings.Contains(want, arrived) {
					continue // e2e.TestCorpus checks these lines
				}
				compared++
				if got := l.Lines(app); got != want {
					t.Errorf("%s: %q, want %q", app, got, want)
				}
			}
			if compared == 0 {
				t.Error("no app was compared")
			}
			for _, number := range []int{1, 2} {
				queue.Publish("logs", harness.Numbered(number, 7))
			}
			l.Until("both lines are kept", func() bool { return strings.Count(l.Lines("app-7"), "\n") == 2 })
			l.Signal(syscall.SIGTERM)
			l.Ended(0)
		})
	}
}

// wantUser checks that the host and its plugins run as the user, without capabilities.
func wantUser(t *testing.T, l *harness.Logger, user int) {
	t.Helper()
	pids := append(l.Plugins(), l.Cmd.Process.Pid)
	if len(pids) != 3 {
		t.Errorf("%d processes, want the host and two plugins", len(pids))
	}
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{fmt.Sprintf("\nUid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", user), "\nCapEff:\t0000000000000000\n"} {
			if !strings.Contains(string(b), want) {
				t.Errorf("process %d: want %q in\n%s", pid, want, b)
			}
		}
	}
}
