package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// Options say what a [Supervisor] runs and how.
type Options struct {
	Executable Executable
	// Lookup gives the host's environment variables; only declared ones are asked.
	Lookup func(env string) (string, bool)
	// RunDir is a private folder for sockets. Its path is short: a socket's path
	// is limited to 107 bytes.
	RunDir string
	// StateDir is a private folder that outlives the plugin's processes.
	StateDir string
	// Folders, if set, makes RunDir and StateDir again if something has removed them. It is called
	// before each attempt.
	Folders func() error
	// Logger gets the supervisor's and the plugin's lines, under the plugin's name.
	Logger hclog.Logger

	// Trust decides before every attempt whether the executable may run. If it refuses the first
	// attempt, Run ends.
	Trust *Trust
	// Survey, if set, knows which plugin each secret belongs to: no plugin gets another's. A plugin
	// gets its settings once [Survey.Run] has asked all plugins.
	Survey *Survey
	// Limits bound what a process takes.
	Limits Limits
	// Background makes the process give way to others that want the same processor.
	Background bool
	// Attachment, if set, is where the plugin runs: nothing is launched. Trust, Survey, Limits,
	// Background and the folders do not matter then.
	Attachment *Attachment
	// Reload starts a plugin again when its file has changed.
	Reload bool
	// Protocols are the versions of the contract that are offered to the plugin.
	Protocols []int

	// Validated, if set, is called once: with nil when the settings of the first attempt were
	// checked, or with the error if the attempt failed before that. The attempt waits for it.
	Validated func(ctx context.Context, err error)

	// StartTimeout bounds an attempt from launch to ready.
	StartTimeout time.Duration
	// StopTimeout bounds an orderly shutdown, before the process is killed.
	StopTimeout time.Duration
	// CheckInterval is the time between two checks, and CheckTimeout the deadline
	// of each. CheckMisses in a row end the process.
	CheckInterval, CheckTimeout time.Duration
	CheckMisses                 int
	// BackoffMin and BackoffMax bound the pause before another attempt. It doubles
	// with each attempt that did not last StableTime.
	BackoffMin, BackoffMax, StableTime time.Duration
}

// DefaultOptions returns the times that suit a plugin on the same machine.
func DefaultOptions() Options {
	return Options{
		Protocols:     sdk.Protocols(),
		StartTimeout:  15 * time.Second,
		StopTimeout:   500 * time.Millisecond,
		CheckInterval: 500 * time.Millisecond,
		CheckTimeout:  1500 * time.Millisecond,
		CheckMisses:   2,
		BackoffMin:    100 * time.Millisecond,
		BackoffMax:    30 * time.Second,
		StableTime:    10 * time.Second,
	}
}

// failedAfter is the number of attempts that must fail in a row to make a plugin [Failed].
const failedAfter = 5

// Supervisor keeps one plugin running. Make it with [NewSupervisor], run it with
// [Supervisor.Run].
type Supervisor struct {
	opts Options

	mu      sync.Mutex
	status  Status
	current *Instance
	changed chan struct{} // closed and replaced at each change of the above
	reached map[State]bool
	ailing  string // why the last check of current found it not ready
	failing map[Call]failures

	restart chan restartRequest
	broken  chan restartRequest // has room for one
	reload  <-chan struct{}     // nil unless the plugin's file is watched
	told    sync.Once
}

type restartRequest struct {
	instance *Instance
	reason   string
}

// NewSupervisor makes a supervisor; nothing runs yet.
func NewSupervisor(opts Options) *Supervisor {
	return &Supervisor{
		opts: opts,
		status: Status{
			Kind: opts.Executable.Kind.String(), Name: opts.Executable.Name, State: Starting, Since: time.Now(),
		},
		changed: make(chan struct{}),
		reached: map[State]bool{},
		restart: make(chan restartRequest),
		broken:  make(chan restartRequest, 1),
	}
}

// Reload sets [Options.Reload]. It is called before Run.
func (s *Supervisor) Reload() { s.opts.Reload = true }

// Run keeps the plugin running until ctx ends, then ends the process and returns nil. It returns
// earlier only if the plugin or its settings are refused before it ever ran. Then its error is one
// line and wraps [sdk.ErrInvalid].
func (s *Supervisor) Run(ctx context.Context) error {
	defer s.down(Stopped, "the host stops")
	if s.opts.Reload && s.opts.Attachment == nil {
		watcher := watchFile(s.opts.Executable.Path)
		defer watcher.end()
		s.reload = watcher.changed
	}
	failures, ran := 0, false
	for {
		up := time.Time{} // when the process became ready, if it did
		s.down(Starting, cmp.Or(s.Status().Reason, "it has not shaken hands yet"))
		started := time.Now()
		inst, err := launch(ctx, &s.opts, s.validated)
		if err != nil {
			s.validated(ctx, err)
		}
		if err == nil {
			ran, up = true, time.Now()
			s.opts.Logger.Info("plugin is up", "pid", inst.PID, "version", inst.Description.Version,
				"took", time.Since(started).Round(time.Millisecond).String())
			err = s.watch(ctx, inst)
		}
		if ctx.Err() != nil {
			return nil
		}
		if errors.As(err, new(*refusedError)) && !ran {
			return err
		}
		if !up.IsZero() && time.Since(up) > s.opts.StableTime {
			failures = 0
		}
		if errors.Is(err, errReload) {
			s.opts.Logger.Info("the plugin's file changed: starting it again", "file", s.opts.Executable.Path)
			failures = 0
			continue
		}
		failures++
		pause := s.backoff(failures)
		state := BackingOff
		if failures >= failedAfter {
			state = Failed
		}
		s.count()
		s.down(state, err.Error())
		s.opts.Logger.Error("plugin is down", "reason", sdk.OneLine(err.Error()), "state", string(state),
			"attempt", failures, "next_in", pause.Round(time.Millisecond).String())
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-s.reload: // it is another plugin now
			t.Stop()
			failures = 0
		case <-t.C:
		}
	}
}

// validated tells the host, once, how the first attempt went up to its settings.
func (s *Supervisor) validated(ctx context.Context, err error) {
	if s.opts.Validated != nil {
		s.told.Do(func() { s.opts.Validated(ctx, err) })
	}
}

// backoff returns the pause before the next attempt: it doubles with each failure, and has a jitter
// of half.
func (s *Supervisor) backoff(failures int) time.Duration {
	pause := s.opts.BackoffMin
	for range min(failures-1, 30) {
		pause = min(2*pause, s.opts.BackoffMax)
	}
	return pause/2 + rand.N(pause/2+1) //nolint:gosec // no secret depends on it
}

// watch serves the instance to callers until it ends or ctx does, and returns why it ended. The
// process is gone when watch returns.
func (s *Supervisor) watch(ctx context.Context, inst *Instance) error {
	patience := time.Duration(0)
	defer func() { inst.life.end(inst, patience) }()
	ticker := time.NewTicker(s.opts.CheckInterval)
	defer ticker.Stop()
	misses, sick := 0, 0
	for {
		err := s.check(ctx, inst)
		notReady := (*sdk.NotReadyError)(nil)
		switch {
		case ctx.Err() != nil:
			patience = s.opts.StopTimeout
			return nil
		case err == nil, errors.As(err, &notReady):
			misses, sick = 0, s.tell(inst, notReady, sick)
			inst.followLevel(ctx, &s.opts)
		case isGone(inst), !errors.Is(err, context.DeadlineExceeded) && goesNow(inst):
			// told below, by how it ended
		case inst.life.patient():
			misses, sick = 0, s.tell(inst, &sdk.NotReadyError{Reason: "it does not answer: it may stand at a breakpoint"}, sick)
		default: // no answer
			misses++
			s.opts.Logger.Warn("plugin does not answer", "misses", misses, "error", err)
			if misses >= s.opts.CheckMisses {
				s.down(BackingOff, "it does not answer")
				return fmt.Errorf("it did not answer %d checks in a row: %w", misses, err)
			}
		}
		if err := inst.life.look(&s.opts); err != nil {
			s.down(BackingOff, err.Error())
			return err
		}
		select {
		case <-ctx.Done():
			patience = s.opts.StopTimeout
			return nil
		case <-inst.Gone():
			s.down(BackingOff, inst.life.how())
			return errors.New(inst.life.how())
		case <-s.reload:
			s.down(Starting, errReload.Error())
			patience = s.opts.StopTimeout
			return errReload
		case r := <-s.restart:
			if r.instance == inst {
				s.down(BackingOff, r.reason)
				return errors.New(r.reason)
			}
		case r := <-s.broken:
			if r.instance == inst { // and not the one before
				s.down(BackingOff, r.reason)
				return errors.New(r.reason)
			}
		case <-ticker.C:
		}
	}
}

// tell publishes what a check said (nil: all is well), and returns how many checks in a row found
// the plugin degraded. It logs that the plugin is degraded once these are enough, and when that is
// over.
func (s *Supervisor) tell(inst *Instance, notReady *sdk.NotReadyError, sick int) int {
	reason := ""
	if notReady != nil {
		reason = cmp.Or(notReady.Reason, "it does not say why")
	}
	state, reason := s.checked(inst, reason)
	if state != Degraded {
		if sick >= sickChecks {
			s.opts.Logger.Info("plugin is ready again")
		}
		return 0
	}
	if sick++; sick == sickChecks {
		s.opts.Logger.Warn("plugin is degraded", "reason", reason)
	}
	return sick
}

// goesNow reports whether the process ends within a moment. A process that has just closed its
// socket is ending, and why it ends says more than that.
func goesNow(inst *Instance) bool {
	t := time.NewTimer(200 * time.Millisecond)
	defer t.Stop()
	select {
	case <-inst.Gone():
		return true
	case <-t.C:
		return false
	}
}

// sickChecks is the number of checks in a row that must find a plugin's backend away before that is
// logged. A backend that is just connecting is not worth a line.
const sickChecks = 2

func (s *Supervisor) check(ctx context.Context, inst *Instance) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.CheckTimeout)
	defer cancel()
	return inst.plugin.Check(ctx)
}

func isGone(inst *Instance) bool {
	select {
	case <-inst.Gone():
		return true
	default:
		return false
	}
}

// down publishes that no process serves, and why.
func (s *Supervisor) down(state State, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish(nil, state, sdk.OneLine(reason))
}

// publish gives the instance (nil: none) and the state to all who look or wait. The caller holds
// the lock.
func (s *Supervisor) publish(inst *Instance, state State, reason string) {
	if s.current == inst && s.status.State == state && s.status.Reason == reason {
		return
	}
	if s.status.State != state {
		s.status.Since = time.Now()
	}
	s.reached[state] = true
	s.current, s.status.State, s.status.Reason, s.status.PID = inst, state, reason, 0
	if inst != nil {
		s.status.PID, s.status.Version, s.status.Protocol = inst.PID, inst.Description.Version, inst.Protocol
		s.status.Settings = inst.Settings
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Supervisor) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Restarts++
}

// Status returns where the plugin stands.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Reached reports whether the plugin is or ever was in one of the states.
func (s *Supervisor) Reached(states ...State) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(states, func(state State) bool { return s.reached[state] })
}

// Current returns the instance that serves now, or fails with a [*DownError].
func (s *Supervisor) Current() (*Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil, &DownError{Status: s.status}
	}
	return s.current, nil
}

// Wait returns the instance that serves as soon as there is one. It fails when ctx ends,
// and after the supervisor stopped.
func (s *Supervisor) Wait(ctx context.Context) (*Instance, error) {
	for {
		s.mu.Lock()
		inst, state, changed := s.current, s.status, s.changed
		s.mu.Unlock()
		if inst != nil {
			return inst, nil
		}
		if state.State == Stopped {
			return nil, &DownError{Status: state}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// Restart ends the instance for a reason that its user saw, unless it is gone already. It returns
// when the supervisor has taken that up, or ctx has ended.
func (s *Supervisor) Restart(ctx context.Context, inst *Instance, reason string) {
	select {
	case s.restart <- restartRequest{instance: inst, reason: reason}:
	case <-inst.Gone():
	case <-ctx.Done():
	}
}
