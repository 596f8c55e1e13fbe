package testwait

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder keeps what a failed test would say.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.said = fmt.Sprintf(format, args...)
	panic(r)
}

func TestWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		wait func(tb testing.TB, holds func() bool)
		want string
		took time.Duration
	}{
		"until": {func(tb testing.TB, holds func() bool) { Until(tb, "it holds", holds) }, "not within 30s: it holds", Patience},
		"within": {func(tb testing.TB, holds func() bool) {
			Within(tb, time.Minute, "it holds", holds, func() string { return "seen" })
		}, "not within 1m0s: it holds: seen", time.Minute},
		"error": {func(tb testing.TB, holds func() bool) {
			NoError(tb, func() error {
				if !holds() {
					return errors.New("it does not hold")
				}
				return nil
			})
		}, "not within 30s: no error: it does not hold", Patience},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for after, want := range map[time.Duration]string{0: "", tc.took: "", 2 * tc.took: tc.want} {
					tb, began := &recorder{TB: t}, time.Now()
					func() {
						defer func() { _ = recover() }()
						tc.wait(tb, func() bool { return time.Since(began) >= after })
					}()
					if took := time.Since(began); tb.said != want || took > tc.took+longestPause || want == "" && took > after+longestPause {
						t.Errorf("true after %s: %q after %s, want %q", after, tb.said, took, want)
					}
				}
			})
		})
	}
}
