// Package plugintest has what the conformance suites of storages and aggregators share: named
// checks, which run under go test and in a program alike, and plugin executables, which it starts
// as a host does. Authors use it through [github.com/deis/logger/sdk/storagetest] and
// [github.com/deis/logger/sdk/aggregatortest].
package plugintest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// T has the methods of [testing.T] that a check needs.
type T interface {
	Helper()
	// Context ends just before the functions given to Cleanup are called.
	Context() context.Context
	// Cleanup registers a function that is called when the check is over, the last first.
	Cleanup(f func())
	Error(args ...any)
	Errorf(format string, args ...any)
	// Fatal and Fatalf end the check. They are called from its own goroutine.
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Log(args ...any)
	Logf(format string, args ...any)
	// Skipf ends the check as left out, for the reason given: something optional is missing.
	Skipf(format string, args ...any)
}

var _ T = (*testing.T)(nil)

// Check verifies one obligation of the contract.
type Check struct {
	// Name is the subtest's name.
	Name string
	// Run fails t when the obligation is not met.
	Run func(t T)
}

// Option changes a run of a suite.
type Option func(*options)

type options struct{ without map[string]string }

// Without leaves a check out, for a reason that is printed in its place. A check of
// something optional that the plugin does not have leaves itself out in the same way.
func Without(check, reason string) Option {
	return func(o *options) { o.without[check] = reason }
}

func collect(checks []Check, opts []Option) (options, error) {
	o := options{without: map[string]string{}}
	for _, opt := range opts {
		opt(&o)
	}
	for name, reason := range o.without {
		if !slices.ContainsFunc(checks, func(c Check) bool { return c.Name == name }) {
			return o, fmt.Errorf("there is no check %q to leave out", name)
		}
		if strings.TrimSpace(reason) == "" {
			return o, fmt.Errorf("check %s is left out without a reason", name)
		}
	}
	return o, nil
}

// Run runs the checks as subtests, one after the other. A check that is left out is skipped with
// its reason.
func Run(t *testing.T, checks []Check, opts ...Option) {
	t.Helper()
	o, err := collect(checks, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) {
			if reason, ok := o.without[c.Name]; ok {
				t.Skipf("left out: %s", reason)
			}
			c.Run(t)
		})
	}
}

// Outcome says how a check ended.
type Outcome string

// The outcomes of a check.
const (
	Passed   Outcome = "pass"
	Failed   Outcome = "fail"
	OptedOut Outcome = "opt-out"
)

// Result says what came of one check.
type Result struct {
	Check   string
	Outcome Outcome
	// Took is how long it ran.
	Took time.Duration
	// Lines say why it failed, or was left out.
	Lines []string
}

// Report runs the checks without go test, one after the other, and calls observe with each result.
// It reports whether no check failed; those that were not run because ctx ended count as failed. An
// error is a mistake in the options.
func Report(ctx context.Context, checks []Check, observe func(Result), opts ...Option) (ok bool, err error) {
	o, err := collect(checks, opts)
	if err != nil {
		return false, err
	}
	ok = true
	for _, c := range checks {
		r := Result{Check: c.Name, Outcome: OptedOut}
		if reason, left := o.without[c.Name]; left {
			r.Lines = []string{reason}
		} else {
			r = runCheck(ctx, c)
		}
		ok = ok && r.Outcome != Failed
		observe(r)
	}
	return ok, nil
}

// runCheck runs a check in a goroutine of its own, which Fatal can end.
func runCheck(ctx context.Context, c Check) Result {
	if err := ctx.Err(); err != nil {
		return Result{Check: c.Name, Outcome: Failed, Lines: []string{"not run: " + err.Error()}}
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &recorder{ctx: ctx}
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.cleanUp(cancel)
		defer t.recovered()
		c.Run(t)
	}()
	<-done
	r := Result{Check: c.Name, Outcome: Passed, Took: time.Since(began), Lines: t.lines}
	switch {
	case t.failed:
		r.Outcome = Failed
	case t.left != "":
		r.Outcome, r.Lines = OptedOut, []string{t.left}
	}
	return r
}

// recorder implements T outside of go test. It keeps lines of Logf only for a failure.
type recorder struct {
	ctx context.Context //nolint:containedctx // it is what Context answers

	mu       sync.Mutex
	failed   bool
	left     string // why the check left itself out
	lines    []string
	cleanups []func()
}

func (*recorder) Helper()                    {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// maxLines is how many lines of one check are kept: the first say most.
const maxLines = 20

func (r *recorder) add(failed bool, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = r.failed || failed
	switch text = strings.TrimRight(text, "\n"); {
	case len(r.lines) < maxLines:
		r.lines = append(r.lines, text)
	case len(r.lines) == maxLines:
		r.lines = append(r.lines, "(more of this)")
	}
}

func (r *recorder) Error(args ...any)                 { r.add(true, fmt.Sprintln(args...)) }
func (r *recorder) Errorf(format string, args ...any) { r.add(true, fmt.Sprintf(format, args...)) }
func (r *recorder) Log(args ...any)                   { r.add(false, fmt.Sprintln(args...)) }
func (r *recorder) Logf(format string, args ...any)   { r.add(false, fmt.Sprintf(format, args...)) }

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.mu.Lock()
	r.left = fmt.Sprintf(format, args...)
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// recovered turns a panic of a check into a failure of that check alone.
func (r *recorder) recovered() {
	if p := recover(); p != nil {
		r.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// cleanUp calls the registered functions, all of them even if one fails the check and ends in
// Goexit.
func (r *recorder) cleanUp(cancel context.CancelFunc) {
	cancel()
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		if n == 0 {
			r.mu.Unlock()
			return
		}
		f := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer r.recovered()
			f()
		}()
		<-done
	}
}
