package main

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestStolen(t *testing.T) {
	before, err := parseMachine([]byte("cpu  10 20 30 4000 500 1 2 100 7 8\ncpu0 1 2 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseMachine([]byte("cpu  60 20 50 9000 900 2 6 125 7 9\ncpu0 1 2 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := after.stolenSince(before); got != 25 { // 25 of 100: 50 user, 20 system, 1 irq, 4 softirq
		t.Errorf("%v %% stolen, want 25", got)
	}
	if got := after.stolenSince(after); got != 0 {
		t.Errorf("%v %% of nothing", got)
	}
	for _, bad := range []string{"", "cpu 1 2 3\n", "cpu0 1 2 3 4 5 6 7 8\n", "cpu 1 2 3 4 5 6 7 x\n"} {
		if got, err := parseMachine([]byte(bad)); err == nil {
			t.Errorf("parseMachine(%q) = %v, want an error", bad, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	text := []byte("Name:\tlogger\nVmPeak:\t  999 kB\nVmHWM:\t   12 kB\nThreads:\t7\n")
	if got, err := parseStatus(text, "VmHWM"); err != nil || got != 12*1024 {
		t.Errorf("VmHWM = %v, %v, want 12 KiB", got, err)
	}
	if got, err := parseStatus(text, "VmRSS"); err == nil {
		t.Errorf("an absent field = %v, want an error", got)
	}
}

func TestParseSmaps(t *testing.T) {
	text := []byte(`00400000-00f5b000 r-xp 00000000 08:01 1234                       /run/plugins/logger-storage-memory
Size:              11628 kB
Rss:                5000 kB
VmFlags: rd ex mr mw me
7f00-7f01 rw-s 00000000 00:19 77                         /dev/shm/a: b/memory.arena
Size:             262144 kB
Rss:               20480 kB
Pss:               20480 kB
7f02-7f03 rw-p 00000000 00:00 0
Rss:                 100 kB
7f04-7f05 rw-s 00100000 00:19 77                         /dev/shm/a: b/memory.arena
Rss:                   4 kB
`)
	if got, err := parseSmaps(text, "memory.arena"); err != nil || got != 20484*1024 {
		t.Errorf("parseSmaps = %v, %v, want the two mappings' 20484 KiB", got, err)
	}
}

// TestCPUSecondsOfThisProcess: a second of this process's work counts as one second.
func TestCPUSecondsOfThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Fatal("the benchmark reads /proc: it runs on Linux alone")
	}
	before, err := cpuSeconds(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var used float64
	for used < 0.2 {
		now, err := cpuSeconds(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		used = now - before
		if time.Since(start) > time.Minute {
			t.Fatalf("after a minute of work %v s are counted", used)
		}
	}
	if wall := time.Since(start).Seconds() * float64(runtime.NumCPU()+1); used > wall+0.1 {
		t.Errorf("%v s were counted in %v s of all processors", used, wall)
	}
	if hwm, err := status(os.Getpid(), "VmHWM"); err != nil || hwm < 1<<20 {
		t.Errorf("VmHWM = %v, %v", hwm, err)
	}
}
