package faults

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

// TestDiskFull: if the disk is full, the memory storage goes on with the room that its arena has,
// and evicts the oldest lines as it would at its budget. It does so even after its process was
// killed. Once there is room again, it takes more.
func TestDiskFull(t *testing.T) {
	if !mayMount(t) {
		return // the child that may mount has run the test
	}
	dir, ballast := smallDisk(t)
	r := newRig(t, harness.MemoryEnv(), map[string]string{"LOGGER_RUN_DIR": dir, "LOGGER_MEMORY_MAX_BYTES": "64MiB"})
	r.begin()
	r.asker.end() // from here on lines are evicted, which the asker would call wrong
	fill(t, ballast)
	written := writeLong(r, 0, 4000) // 8 MB, for which the disk has no room left
	r.pub.end()
	r.settle()
	kept := r.newest("long", written)
	if kept == written {
		t.Error("all is kept: the disk was not full")
	}
	t.Logf("full disk: %d of %d lines are kept", kept, written)
	reads, writes := r.recovery(func() { r.signal("storage", syscall.SIGKILL) })
	r.soon("storage killed on a full disk", reads, writes)
	// The probes of the recovery are lines too, and take a block or two.
	if again := r.newest("long", written); again < kept-8 {
		t.Errorf("after the plugin's death %d lines are kept, before %d", again, kept)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	written = writeLong(r, written, 4000)
	more := r.newest("long", written)
	t.Logf("room again: %d of %d lines are kept", more, written)
	if more <= kept {
		t.Errorf("with room again %d lines are kept, before %d", more, kept)
	}
	r.settle()
	for app := range apps { // no log is damaged in a way that a reader could see
		if _, err := parseLog(app, r.logger.Lines(fmt.Sprintf("app-%d", app))); err != nil {
			t.Error(err)
		}
	}
	for _, wrong := range r.asker.faulty() {
		t.Errorf("asker: %s", wrong)
	}
}

// TestDiskFullAtTheStart: if a host starts on a disk without room for the arena, reads say so, and
// no message counts as stored. Once there is room, all lines are kept. If the disk has no room even
// for the host's own folder, the host refuses to start.
func TestDiskFullAtTheStart(t *testing.T) {
	if !mayMount(t) {
		return // the child that may mount has run the test
	}
	dir, ballast := smallDisk(t)
	fill(t, ballast)
	r := newRig(t, harness.MemoryEnv(), map[string]string{"LOGGER_RUN_DIR": dir, "LOGGER_MEMORY_MAX_BYTES": "64MiB"})
	cmd, _ := harness.Command(t, nil, r.env...)
	out, err := cmd.CombinedOutput()
	if err == nil || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "LOGGER_RUN_DIR") {
		t.Errorf("on a full disk: %v: %s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left in the run folder: %q", left)
	}

	size, err := os.Stat(ballast)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(ballast, size.Size()-(16<<10)); err != nil {
		t.Fatal(err)
	}
	r.logger = harness.Launch(t, r.env...)
	r.publish(0, nil)
	r.asker = startAsker(t, r.logger.URL, apps, askEvery)
	r.logger.Until("it says that the disk is full", func() bool {
		return r.logger.Plugin("storage").Reason != "" && r.asker.status(http.StatusServiceUnavailable).count > 0
	})
	t.Logf("not ready: %s", r.logger.Plugin("storage").Reason)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	r.flowing()
	r.finish()
}

// mayMount reports whether this process may mount a file system. If it may not, mayMount runs the
// whole test in a child that may, in namespaces of its own. The test then ends as the child's test
// ended.
func mayMount(t *testing.T) bool {
	t.Helper()
	if os.Getuid() == 0 {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("the test needs root, or user namespaces: %v", err)
	}
	return false
}

// smallDisk mounts a small file system. It returns a folder there for LOGGER_RUN_DIR, and the path
// of a file that may fill the rest.
func smallDisk(t *testing.T) (dir, ballast string) {
	t.Helper()
	disk := harness.RunDir(t)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Fatalf("mount a small file system, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmount %s: %v", disk, err)
		}
	})
	dir = filepath.Join(disk, "r")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(disk, "ballast")
}

// fill writes to the file until the disk is full.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for size := 64 << 10; size >= 512; size /= 2 {
		for b := make([]byte, size); err == nil; {
			_, err = f.Write(b)
		}
		err = nil
	}
}

// writeLong publishes lines of 2 KB, numbered upwards from the number from, and waits until they
// are stored. It returns the next number.
func writeLong(r *rig, from, count int) (next int) {
	r.t.Helper()
	for at := from; at < from+count; at += 500 {
		bodies := make([][]byte, 0, 500)
		for n := at; n < at+500; n++ {
			bodies = append(bodies, harness.Message("long", fmt.Sprintf("line %d %s\n", n, strings.Repeat("x", 2000))))
		}
		r.queue.Publish("logs", bodies...)
	}
	last := fmt.Sprintf(": line %d ", from+count-1)
	r.logger.Until("the long lines are stored", func() bool {
		_, _, body := r.logger.Do(http.MethodGet, "/logs/long?log_lines=1")
		return strings.Contains(string(body), last)
	})
	return from + count
}

// newest checks that an app's log has its newest lines without a gap, and returns how many it has.
func (r *rig) newest(app string, written int) (kept int) {
	r.t.Helper()
	text := r.logger.Lines(app)
	kept = strings.Count(text, "\n")
	n := written - kept
	for line := range strings.Lines(text) {
		if !strings.Contains(line, fmt.Sprintf("]: line %d x", n)) {
			r.t.Fatalf("%s: line %d is not in its place: %.100q", app, n, line)
		}
		n++
	}
	return kept
}
