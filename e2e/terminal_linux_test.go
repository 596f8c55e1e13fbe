package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/testrun"
)

// openTerminal opens a pseudoterminal. Bytes written to inner are read from outer.
func openTerminal(t *testing.T) (outer, inner *os.File) {
	t.Helper()
	outer, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = outer.Close() })
	fd := int(outer.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	inner, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	return outer, inner
}

// TestCLIOnATerminal: on a terminal the command prints no control sequences of a line, except for
// colours. With --raw it prints all.
func TestCLIOnATerminal(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv())
	queue.Publish("logs", harness.Message("foo", "\x1b[31mred\x1b]0;title\x07\x1b[2J\nmore\r\u202e\n"))
	l.Settled(1)
	c := newCLI(t, l.URL)
	c.env["TERM"] = "xterm"
	show := func(args ...string) string {
		t.Helper()
		outer, inner := openTerminal(t)
		cmd := c.command(harness.Binary("logger"), args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = inner, inner, inner
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
		shown := make([]byte, 64<<10)
		n, err := outer.Read(shown)
		if err != nil {
			t.Fatal(err)
		}
		_ = inner.Close()
		return strings.ReplaceAll(string(shown[:n]), "\r\n", "\n")
	}
	indent := strings.Repeat(" ", len("foo[web.v1.abcde]: "))
	coloured := show("tail", "foo")
	if _, rest, _ := strings.Cut(coloured, "foo[web"); rest != ".v1.abcde]:\x1b[0m \x1b[31mred\n"+indent+"more \x1b[0m\n" || !strings.HasPrefix(coloured, "\x1b[") {
		t.Errorf("%q", coloured)
	}
	plain := "foo[web.v1.abcde]: red\n" + indent + "more \n"
	if got := show("tail", "foo", "--color", "never"); got != plain {
		t.Errorf("never: %q", got)
	}
	c.env["NO_COLOR"] = "1"
	if got := show("tail", "foo"); got != plain {
		t.Errorf("NO_COLOR: %q", got)
	}
	if got := show("tail", "foo", "--raw", "-o", "raw"); !strings.Contains(got, "\x1b]0;title\x07\x1b[2J") {
		t.Errorf("--raw: %q", got)
	}
}

// writesStdout reports whether a thread of the process is in a write to its standard output. How
// full the pipe is does not show that: its one page refuses a write that needs a second page.
func writesStdout(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	return slices.ContainsFunc(threads, func(path string) bool {
		b, _ := os.ReadFile(path)
		return strings.HasPrefix(string(b), fmt.Sprintf("%d 0x1 ", unix.SYS_WRITE))
	})
}

// TestCLISignals: a signal ends a tail even if the tail is stuck in a write that nobody reads.
func TestCLISignals(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv())
	numbers(queue, 1, 1, 1000)
	l.Settled(1000)
	c := newCLI(t, l.URL)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(reader.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
			t.Fatal(err)
		}
		stderr := &testrun.Output{}
		cmd := c.command(harness.Binary("logger"), "tail", "app-0", "-f", "-n", "-1", "-t", "-o", "json")
		cmd.Stdout, cmd.Stderr = writer, stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = writer.Close()
		l.Until("a write is stuck", func() bool {
			before, err := unix.IoctlGetInt(int(reader.Fd()), unix.TIOCINQ)
			if err != nil || before == 0 || !writesStdout(cmd.Process.Pid) {
				return err != nil
			}
			now, err := unix.IoctlGetInt(int(reader.Fd()), unix.TIOCINQ)
			return err != nil || now == before && writesStdout(cmd.Process.Pid)
		})
		began := time.Now()
		_ = cmd.Process.Signal(sig)
		_ = cmd.Wait()
		if code, took := cmd.ProcessState.ExitCode(), time.Since(began); code != 128+int(sig) || took > 10*time.Second {
			t.Errorf("%s: exit code %d after %s, %s", sig, code, took, stderr)
		}
		_ = reader.Close()
	}
}
