package plugin

import (
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/internal/testwait"
)

// TestGrandchildrenDoNotOutliveOrBlock covers descendants in sessions of their own, orphans, and
// those without the plugin's environment.
func TestGrandchildrenDoNotOutliveOrBlock(t *testing.T) {
	s, logs := superviseLogged(t, "grandchild")
	inst := wait(t, s)
	grandchildren := map[string]int{}
	testwait.Within(t, 20*time.Second, "the grandchildren's pids", func() bool {
		for _, line := range logs.lines() {
			fields := strings.Fields(line)
			if n := len(fields); n > 1 {
				if pid, err := strconv.Atoi(fields[n-1]); err == nil && slices.Contains([]string{"child", "escaped", "orphan", "unmarked"}, fields[n-2]) {
					grandchildren[fields[n-2]] = pid
				}
			}
		}
		return len(grandchildren) == 4
	})
	testwait.Within(t, 20*time.Second, "their ids are known", func() bool {
		processOf(inst).family.mu.Lock()
		defer processOf(inst).family.mu.Unlock()
		return processOf(inst).family.known[grandchildren["unmarked"]] != 0
	})
	below := childrenOf(grandchildren["unmarked"])
	if err := syscall.Kill(inst.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testwait.Within(t, 20*time.Second, "the process counts as gone", func() bool { return isGone(inst) })
	for name, pid := range grandchildren {
		testwait.Within(t, 20*time.Second, name+" is gone", func() bool { return !lives(pid) })
	}
	for _, pid := range below {
		testwait.Within(t, 20*time.Second, "what it started is gone", func() bool { return !lives(pid) })
	}
	testwait.Within(t, 20*time.Second, "another process", func() bool { i, err := s.Current(); return err == nil && i != inst })
}
