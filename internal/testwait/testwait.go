// Package testwait lets a test wait for what happens elsewhere: it asks again and again, and
// fails the test when that takes too long.
package testwait

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what has no time limit of its own.
const Patience = 30 * time.Second

// The pause grows with the wait, so that asking disturbs little of what takes long.
const (
	shortestPause = 2 * time.Millisecond
	longestPause  = 50 * time.Millisecond
)

// Until returns once holds returns true, and fails the test after [Patience].
func Until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	Within(tb, Patience, what, holds)
}

// Within returns once holds returns true, and fails the test after the time limit. The test then
// tells what the functions in seen return, too.
func Within(tb testing.TB, limit time.Duration, what string, holds func() bool, seen ...func() string) {
	tb.Helper()
	for began := time.Now(); !holds(); time.Sleep(min(max(time.Since(began)/100, shortestPause), longestPause)) {
		if time.Since(began) > limit {
			for _, f := range seen {
				what += ": " + f()
			}
			tb.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// NoError returns once f returns nil. After [Patience] it fails the test with f's last error.
func NoError(tb testing.TB, f func() error) {
	tb.Helper()
	var err error
	Within(tb, Patience, "no error", func() bool { err = f(); return err == nil }, func() string { return err.Error() })
}
