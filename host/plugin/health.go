package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/deis/logger/sdk"
)

// Call names a kind of call on a plugin, as [Supervisor.Observe] tells them apart.
type Call string

// The kinds of calls whose failures make a plugin [Degraded].
const (
	Appends Call = "appends"
	Reads   Call = "reads"
	// Versions are asked before reads, which are not made when the question fails.
	Versions Call = "version questions"
	// others are calls whose failures make no plugin degraded.
	others Call = "other calls"
)

const (
	// sickCalls is the number of calls of a kind that must fail in a row.
	sickCalls = 3
	// sickFor is the time for which the last of those failures counts. It is longer than any pause
	// between two tries of an append. It is bounded, since a degraded plugin that nobody calls
	// would otherwise stay degraded for ever.
	sickFor = 30 * time.Second
	// hungCall is the least duration of a call that ran out of time and counts as a failure. A
	// shorter call had a caller in a hurry.
	hungCall = time.Second
)

// failures holds the calls of one kind that failed since the last one that succeeded.
type failures struct {
	n    int
	last time.Time
	text string // of the last one's error
}

// Observe notes how a call on the instance went: when it began, and its error. A plugin that
// answers its checks while its work fails again and again is [Degraded], until the first call of
// that kind succeeds. A plugin that answered against the contract ([sdk.ErrContract]) is ended, and
// another process started. Three errors say nothing of the plugin: one about the call itself
// ([sdk.ErrInvalid]), that of a cancelled call, and that of a call with less than a second of time.
func (s *Supervisor) Observe(inst *Instance, call Call, began time.Time, err error) {
	failed := isFailure(err, time.Since(began))
	if !failed && err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != inst {
		return
	}
	if errors.Is(err, sdk.ErrContract) {
		select {
		case s.broken <- restartRequest{instance: inst, reason: err.Error()}:
		default: // it is told already
		}
	}
	if !failed {
		if _, ok := s.failing[call]; ok {
			delete(s.failing, call)
			s.judge(inst)
		}
		return
	}
	f := s.failing[call]
	s.failing[call] = failures{n: f.n + 1, last: time.Now(), text: sdk.OneLine(err.Error())}
	s.judge(inst)
}

// isFailure reports whether the error is the plugin's or its backend's fault.
func isFailure(err error, took time.Duration) bool {
	switch {
	case err == nil, errors.Is(err, sdk.ErrInvalid), errors.Is(err, sdk.ErrUnsupported), errors.Is(err, sdk.ErrStopping), errors.Is(err, context.Canceled):
		return false
	case errors.Is(err, context.DeadlineExceeded):
		return took >= hungCall
	}
	return true
}

// checkedReady reports whether a process serves whose last check found nothing amiss.
func (s *Supervisor) checkedReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current != nil && s.ailing == ""
}

// judge publishes whether the instance is ready, by its last check and its calls. The caller holds
// the lock.
func (s *Supervisor) judge(inst *Instance) {
	reason := s.ailing
	for _, call := range []Call{Appends, Reads, Versions} {
		if f := s.failing[call]; reason == "" && f.n >= sickCalls && time.Since(f.last) < sickFor {
			reason = fmt.Sprintf("its %s fail: %s", call, f.text)
		}
	}
	state := Ready
	if reason != "" {
		state = Degraded
	}
	s.publish(inst, state, reason)
}

// checked notes what a check of the instance said, and returns its state and the reason. An empty
// reason means that the plugin can do its work.
func (s *Supervisor) checked(inst *Instance, reason string) (State, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != inst {
		s.failing = map[Call]failures{}
	}
	s.ailing = reason
	s.judge(inst)
	return s.status.State, s.status.Reason
}
