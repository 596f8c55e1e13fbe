package plugin

import (
	"testing"
	"time"
)

// TestBackoff: the pause doubles up to its bound, and half of it is random.
func TestBackoff(t *testing.T) {
	s := &Supervisor{opts: Options{BackoffMin: 100 * time.Millisecond, BackoffMax: 30 * time.Second}}
	want := 100 * time.Millisecond
	for failures := 1; failures < 60; failures++ {
		shortest, longest := time.Hour, time.Duration(0)
		for range 200 {
			pause := s.backoff(failures)
			shortest, longest = min(shortest, pause), max(longest, pause)
		}
		if shortest < want/2 || longest > want {
			t.Fatalf("after %d failures from %s to %s, want from %s to %s", failures, shortest, longest, want/2, want)
		}
		if shortest > want*6/10 || longest < want*9/10 {
			t.Fatalf("after %d failures from %s to %s: no jitter of half of %s", failures, shortest, longest, want)
		}
		want = min(2*want, 30*time.Second)
	}
}
