package faults

import (
	"fmt"
	"os"
	"testing"
)

// sample holds the resources of a process while it has nothing to do.
type sample struct {
	goroutines int // as the host reports them; 0 for a plugin, which reports none
	files      int
	memory     int64 // resident bytes
}

// resources holds the samples of each process, by its pid.
type resources struct {
	t       *testing.T
	samples map[int][]sample
	names   map[int]string
}

func newResources(t *testing.T) *resources {
	t.Helper()
	return &resources{t: t, samples: map[int][]sample{}, names: map[int]string{}}
}

// take adds a sample of the host and of each plugin.
func (u *resources) take(r *rig) {
	u.t.Helper()
	host := r.logger.Cmd.Process.Pid
	u.names[host] = "host"
	for _, kind := range []string{"storage", "aggregator"} {
		pid := r.logger.Plugin(kind).PID
		u.names[pid] = kind
		u.add(pid, 0)
	}
	u.add(host, int(r.logger.Metrics()["go_goroutines"]))
	if n := len(r.logger.Plugins()); n != 2 {
		u.t.Errorf("the host has %d child processes, want 2", n)
	}
}

func (u *resources) add(pid, goroutines int) {
	u.t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		u.t.Fatalf("%s: %v", u.names[pid], err)
	}
	u.samples[pid] = append(u.samples[pid], sample{goroutines, len(files), processMemory(u.t, pid, "VmRSS")})
}

// The first warmUp samples of a process count as its warm-up. After that it may use a little more,
// since buffers and pools fill slowly, and connections come and go.
const (
	warmUp       = 2
	playInCount  = 12
	playInMemory = 48 << 20
)

// flat checks that no process uses more at the end than after its warm-up.
func (u *resources) flat() {
	u.t.Helper()
	for pid, all := range u.samples {
		if len(all) <= warmUp+1 {
			continue
		}
		before, now := all[warmUp-1], all[len(all)-1]
		for _, s := range all[:warmUp] {
			before = sample{max(before.goroutines, s.goroutines), max(before.files, s.files), max(before.memory, s.memory)}
		}
		u.t.Logf("%s %d: goroutines/files/memory, round by round: %v", u.names[pid], pid, all)
		if now.goroutines > before.goroutines+playInCount || now.files > before.files+playInCount ||
			now.memory > before.memory*3/2+playInMemory {
			u.t.Errorf("%s %d is not flat: it held %v, and holds %v", u.names[pid], pid, before, now)
		}
	}
}

// String returns the sample with the memory in MiB.
func (s sample) String() string {
	return fmt.Sprintf("%d/%d/%dMiB", s.goroutines, s.files, s.memory>>20)
}
