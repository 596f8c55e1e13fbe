package plugin

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const limitsWork = true

// limitFiles bounds the open files of a running process. As Go's run-time begins, it raises its own
// soft limit, and as root it would undo a bound that is set in between. So limitFiles is called
// twice, right after the start and after the handshake.
func (l Limits) limitFiles(pid int) error {
	if l.OpenFiles == 0 || pid == 0 {
		return nil
	}
	var now unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &now); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	most := min(uint64(l.OpenFiles), now.Max) // only root may raise it
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	return nil
}

// background is the priority of a process that gives way (setpriority(2)): it gets about a
// third of a processor's time beside one process of the usual priority.
const background = 5

// giveWay lowers the priority of all threads of the process. Threads that it starts later inherit
// it. It ignores errors: they mean that the process has ended, which its supervisor finds out by
// itself.
func giveWay(pid int) {
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, background)
		}
	}
}

// memoryOf returns how much memory the process takes: anonymous pages, pages of shared memory, and
// what is swapped out. Pages of files on a disk do not count: the system takes them back when it
// needs them.
func memoryOf(pid int) (bytes int64, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch name {
		case "RssAnon", "RssShmem", "VmSwap":
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, " kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/%d/status: %s: %w", pid, name, err)
			}
			bytes += kib << 10
		}
	}
	return bytes, lines.Err()
}
