package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the test binary play the roles, as the program does.
func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" {
		os.Exit(run(nil, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// newTestRig makes a rig without a logger: only `make bench` and e2e build one.
func newTestRig(t *testing.T) *rig {
	t.Helper()
	r, err := newRig(t.Context(), options{size: shortSizes, binaries: "none"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.close()
		http.DefaultClient.CloseIdleConnections()
		for _, dir := range []string{r.dir, r.tmpfs} {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is left", dir)
			}
		}
	})
	return r
}

// TestDrain: every way to drain takes all messages from a real nsqd, and its work is measured.
func TestDrain(t *testing.T) {
	s := workload{apps: apps, lineBytes: lineBytes, messages: 3000}
	for name, begin := range map[string]func(context.Context, *rig) (drained, error){
		"raw reader": func(ctx context.Context, r *rig) (drained, error) {
			return r.drain(ctx, s, r.byRole(ctx, part{Role: "raw"}), nil)
		},
		"go-nsq": func(ctx context.Context, r *rig) (drained, error) {
			return r.drain(ctx, s, r.byRole(ctx, part{Role: "gonsq", Handlers: 2}), nil)
		},
		"memory in one process": func(ctx context.Context, r *rig) (drained, error) { return r.drainInProcess(ctx, s, "memory", "") },
		"redis in one process":  func(ctx context.Context, r *rig) (drained, error) { return r.drainInProcess(ctx, s, "redis", "") },
	} {
		t.Run(name, func(t *testing.T) {
			d, err := begin(t.Context(), newTestRig(t))
			if err != nil {
				t.Fatal(err)
			}
			if d.seconds <= 0 || d.rate != float64(s.messages)/d.seconds {
				t.Errorf("%d messages in %v s are %v a second?", s.messages, d.seconds, d.rate)
			}
			if _, ok := d.cpu["consumer"]; !ok || len(d.cpu) != 2 {
				t.Errorf("processor times of %v, want nsqd and consumer", d.cpu)
			}
		})
	}
}

func TestRedisFedAlone(t *testing.T) {
	r := newTestRig(t)
	if _, err := r.measureAppend(t.Context(), 20_000); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.figures.all() {
		if f.Unit == perSec && !(f.Median > 0) {
			t.Errorf("%s: %v", f.Name, f.Median)
		}
	}
}

// TestInterrupted: an interruption ends a drain that would not end by itself, and all its
// processes.
func TestInterrupted(t *testing.T) {
	r := newTestRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	var child *process
	_, err := r.drain(ctx, workload{apps: 1, lineBytes: 50, messages: 10}, func(*queue) (*consumer, error) {
		var err error
		// A second nsqd takes no messages.
		if child, err = start(ctx, part{Role: "nsqd", Dir: t.TempDir()}, nil); err != nil {
			return nil, err
		}
		cancel()
		return &consumer{pids: map[string]int{"consumer": child.pid()}, stop: child.stop, ended: child.ended}, nil
	}, nil)
	if err == nil || ctx.Err() == nil {
		t.Errorf("error %v, want that it was interrupted", err)
	}
	select {
	case <-child.exited:
	default:
		t.Error("the consumer's process is left")
	}
}

func TestRoleThatFails(t *testing.T) {
	_, err := start(t.Context(), part{Role: "raw", NSQD: "127.0.0.1:1"}, nil)
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v, want the child's own words", err)
	}
}

func TestOptions(t *testing.T) {
	for _, args := range [][]string{{"-only", "drain,nothing"}, {"-storage", "memory,tape"}, {"-runs", "-1"}, {"more"}, {"-timeout", "-1s"}} {
		if o, err := parseOptions(args, io.Discard); err == nil {
			t.Errorf("%q: %+v, want an error", args, o)
		}
	}
	o, err := parseOptions([]string{"-only", "drain,latency"}, io.Discard)
	if err != nil || o.runs != 3 || o.timeout != 30*time.Minute || len(o.only) != 2 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestParseMetrics(t *testing.T) {
	m := parseMetrics("# HELP a_total Text 7.\n# TYPE a_total counter\na_total 12\n" +
		"b_total{reason=\"x y\"} 1\nb_total{reason=\"z\"} 2\nc 1.5e+06\n")
	if m["a_total"] != 12 || m["b_total"] != 3 || m["c"] != 1.5e6 {
		t.Errorf("metrics %v", m)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var tail tail
	for range 3 {
		_, _ = tail.Write([]byte(strings.Repeat("x", tailBytes)))
	}
	_, _ = tail.Write([]byte("the end"))
	if s := tail.String(); len(s) != tailBytes || !strings.HasSuffix(s, "xthe end") {
		t.Errorf("%d bytes, ending in %q", len(s), s[max(0, len(s)-10):])
	}
}
