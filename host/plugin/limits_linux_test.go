package plugin

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/deis/logger/sdk"
)

func TestProcessGivesWay(t *testing.T) {
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
	opts.Background = true
	s, _ := supervise(t, opts)
	inst := wait(t, s)
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", inst.PID))
	if err != nil || len(threads) == 0 {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, _ := strconv.Atoi(thread.Name())
		// The system call returns 20 minus the priority.
		if got, err := unix.Getpriority(unix.PRIO_PROCESS, id); err != nil || 20-got != background {
			t.Errorf("thread %d has priority %d (%v), want %d", id, 20-got, err, background)
		}
	}
}
