package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// observed returns a supervisor, and an instance that answered a check.
func observed(t *testing.T) (*Supervisor, *Instance) {
	t.Helper()
	s := NewSupervisor(DefaultOptions())
	inst := &Instance{}
	s.checked(inst, "")
	return s, inst
}

func (s *Supervisor) is(t *testing.T, when string, state State, reason string) {
	t.Helper()
	if got := s.Status(); got.State != state || got.Reason != reason {
		t.Errorf("%s: %s (%s), want %s (%s)", when, got.State, got.Reason, state, reason)
	}
}

// TestCallsThatFailDegrade: a check may test less than the work needs, and a full backend still
// answers it.
func TestCallsThatFailDegrade(t *testing.T) {
	full := fmt.Errorf("redis at a:1: OOM\ncommand not allowed: %w", sdk.ErrFull)
	s, inst := observed(t)
	now := time.Now()
	fail := func(call Call, times int) {
		for range times {
			s.Observe(inst, call, now, full)
		}
	}
	fail(Appends, sickCalls-1)
	s.is(t, "after two failures", Ready, "")
	s.Observe(inst, Appends, now, nil)
	fail(Appends, sickCalls-1)
	s.is(t, "after two more", Ready, "")
	fail(Appends, 1)
	const reason = "its appends fail: redis at a:1: OOM command not allowed: full"
	s.is(t, "after three in a row", Degraded, reason)
	s.Observe(inst, Reads, now, nil)
	s.is(t, "reads that succeed are no appends", Degraded, reason)
	if state, why := s.checked(inst, ""); state != Degraded || why != reason {
		t.Errorf("a check that succeeds hides the failures: %s (%s)", state, why)
	}
	s.checked(inst, "nothing answers")
	s.is(t, "the check's own reason comes first", Degraded, "nothing answers")
	s.checked(inst, "")
	fail(Reads, sickCalls)
	s.Observe(inst, Appends, now, nil)
	s.is(t, "appends succeed again", Degraded, "its reads"+strings.TrimPrefix(reason, "its appends"))
	s.Observe(inst, Reads, now, nil)
	s.is(t, "all succeed again", Ready, "")
	fail(Versions, sickCalls)
	s.is(t, "reads are not even made", Degraded, "its version questions"+strings.TrimPrefix(reason, "its appends"))
	s.Observe(inst, Versions, now, nil)
	if !s.Reached(Degraded) || !s.Reached(Failed, Ready) || s.Reached(Failed, BackingOff) {
		t.Error("the states that the plugin was in are not known")
	}
}

func TestWhatSaysNothingOfThePlugin(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		err   error
		began time.Time
		want  State
	}{
		"refused":                      {fmt.Errorf("no: %w", sdk.ErrInvalid), now, Ready},
		"too expensive":                {sdk.ErrTooExpensive, now, Ready},
		"not supported":                {sdk.ErrUnsupported, now, Ready},
		"the caller left":              {context.Canceled, now.Add(-time.Minute), Ready},
		"the caller was in a hurry":    {context.DeadlineExceeded, now, Ready},
		"it hung":                      {context.DeadlineExceeded, now.Add(-2 * time.Second), Degraded},
		"a panic":                      {sdk.ErrPanic, now, Degraded},
		"its backend is away":          {sdk.ErrUnavailable, now, Degraded},
		"an error without an identity": {errors.New("no such table"), now, Degraded},
	} {
		t.Run(name, func(t *testing.T) {
			s, inst := observed(t)
			for range 10 * sickCalls {
				s.Observe(inst, Reads, tc.began, tc.err)
			}
			if got := s.Status().State; got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

// TestFailuresAreForgotten when nobody calls any more, and when the process ends.
func TestFailuresAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, inst := observed(t)
		for range sickCalls {
			s.Observe(inst, Reads, time.Now(), sdk.ErrUnavailable)
		}
		time.Sleep(sickFor - time.Second)
		s.checked(inst, "")
		s.is(t, "for a while", Degraded, "its reads fail: unavailable")
		time.Sleep(time.Second)
		s.checked(inst, "")
		s.is(t, "later", Ready, "")
		for range sickCalls {
			s.Observe(inst, Reads, time.Now(), sdk.ErrUnavailable)
		}
		next := &Instance{}
		s.checked(next, "")
		s.is(t, "of another process", Ready, "")
		for range sickCalls {
			s.Observe(inst, Reads, time.Now(), sdk.ErrUnavailable)
		}
		s.is(t, "calls on the one before", Ready, "")
	})
}

// TestDegradedByCallsIsLogged once, and so is the end of that state.
func TestDegradedByCallsIsLogged(t *testing.T) {
	s, logs := superviseLogged(t, "toy")
	inst := wait(t, s)
	for range sickCalls {
		s.Observe(inst, Appends, time.Now(), sdk.ErrFull)
	}
	logged := func(line string) func() bool {
		return func() bool { return strings.Count(logs.String(), line) == 1 }
	}
	testwait.Within(t, 20*time.Second, "it is logged", logged(`plugin is degraded: reason="its appends fail: full"`))
	s.Observe(inst, Appends, time.Now(), nil)
	if got := s.Status().State; got != Ready {
		t.Errorf("it is %s after the first success", got)
	}
	testwait.Within(t, 20*time.Second, "its end is logged", logged("plugin is ready again"))
}
