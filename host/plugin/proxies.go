package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// Storage is the stable proxy of a supervised storage plugin. While no process
// serves, calls fail at once with a [*DownError]; a call that is under way when the
// process dies fails within milliseconds with [sdk.ErrUnavailable].
//
// While reads are under way, large appends wait a little: see rightOfWay.
//
// A plugin whose appends time out again and again, although it answers checks, is
// ended, so that another process tries.
type Storage struct {
	// ReadSeconds, if not nil, is told how long each read took, whatever came of it.
	ReadSeconds interface{ Observe(seconds float64) }

	supervisor *Supervisor
	way        rightOfWay

	mu   sync.Mutex
	late int // appends in a row that did not answer in time
}

// hungAppends bounds how many appends in a row may time out.
const hungAppends = 2

var (
	_ sdk.Storage   = (*Storage)(nil)
	_ sdk.Follower  = (*Storage)(nil)
	_ sdk.Versioner = (*Storage)(nil)
	_ sdk.AppLister = (*Storage)(nil)
)

// NewStorage returns the proxy of the plugin that the supervisor runs.
func NewStorage(s *Supervisor) *Storage { return &Storage{supervisor: s} }

// Wait returns once a process serves, or with ctx's error.
func (s *Storage) Wait(ctx context.Context) error {
	_, err := s.supervisor.Wait(ctx)
	return err
}

// Append implements [sdk.Storage].
func (s *Storage) Append(ctx context.Context, batch sdk.Batch) error {
	inst, err := s.supervisor.Current()
	if err != nil {
		return err
	}
	done := s.way.append(ctx, batch.Len())
	began := time.Now()
	err = sdk.NewRemoteStorage(inst.Conn).Append(ctx, batch)
	done()
	s.supervisor.Observe(inst, Appends, began, err)
	// The plugin's side of the call may see the deadline a moment before ours does.
	deadline, ok := ctx.Deadline()
	if s.hung(ok && !inst.life.patient() && errors.Is(err, context.DeadlineExceeded) && time.Until(deadline) < 10*time.Millisecond) {
		// The caller's time is up; the supervisor takes this up at once.
		restart, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		s.supervisor.Restart(restart, inst, "its appends do not return")
	}
	return err
}

// hung counts appends that ran out of time, and reports whether there are too many.
func (s *Storage) hung(late bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !late {
		s.late = 0
		return false
	}
	s.late++
	if s.late < hungAppends {
		return false
	}
	s.late = 0
	return true
}

// Read implements [sdk.Storage].
func (s *Storage) Read(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, err error) {
	defer s.way.read()()
	if s.ReadSeconds != nil {
		began := time.Now()
		defer func() { s.ReadSeconds.Observe(time.Since(began).Seconds()) }()
	}
	kind := Reads
	if !opts.Filter.IsZero() {
		kind = others // what takes too long may be the filter, which a client chose
	}
	err = s.supervisor.call(kind, func(remote *sdk.RemoteStorage) (err error) {
		if page, err = remote.Read(ctx, opts); err != nil {
			return err
		}
		return checkPage(&opts, &page)
	})
	if err != nil {
		return sdk.Page{}, err
	}
	return page, nil
}

// Delete implements [sdk.Storage].
func (s *Storage) Delete(ctx context.Context, app string) error {
	return s.supervisor.call(others, func(remote *sdk.RemoteStorage) error { return remote.Delete(ctx, app) })
}

// Versions implements [sdk.Versioner]. It fails with [sdk.ErrUnsupported] if the plugin does not
// announce the call.
func (s *Storage) Versions(ctx context.Context, apps []string) ([]uint64, error) {
	inst, err := s.supervisor.Current()
	if err != nil {
		return nil, err
	}
	if !inst.Capabilities.Versions {
		return nil, fmt.Errorf("the plugin does not tell versions: %w", sdk.ErrUnsupported)
	}
	defer s.way.read()()
	began := time.Now()
	versions, err := sdk.NewRemoteStorage(inst.Conn).Versions(ctx, apps)
	s.supervisor.Observe(inst, Versions, began, err)
	return versions, err
}

// Apps implements [sdk.AppLister].
func (s *Storage) Apps(ctx context.Context, after string, limit int) (apps []sdk.AppInfo, err error) {
	err = s.supervisor.call(others, func(remote *sdk.RemoteStorage) (err error) {
		if apps, err = remote.Apps(ctx, after, limit); err != nil {
			return err
		}
		return checkApps(after, apps)
	})
	if err != nil {
		return nil, err
	}
	return apps, nil
}

// App implements [sdk.AppLister].
func (s *Storage) App(ctx context.Context, app string) (info sdk.AppInfo, err error) {
	err = s.supervisor.call(others, func(remote *sdk.RemoteStorage) (err error) {
		info, err = remote.App(ctx, app)
		return err
	})
	return info, err
}

// Totals implements [sdk.AppLister].
func (s *Storage) Totals(ctx context.Context) (totals sdk.Totals, err error) {
	err = s.supervisor.call(others, func(remote *sdk.RemoteStorage) (err error) {
		totals, err = remote.Totals(ctx)
		return err
	})
	return totals, err
}

// Follow implements [sdk.Follower].
func (s *Storage) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	checked := followed{at: after}
	return s.supervisor.call(others, func(remote *sdk.RemoteStorage) error {
		return remote.Follow(ctx, app, after, func(page sdk.Page) error {
			if err := checked.check(&page); err != nil {
				return err
			}
			return yield(page)
		})
	})
}

// Aggregator is the stable proxy of a supervised aggregator plugin.
type Aggregator struct {
	supervisor *Supervisor
	grace      time.Duration
}

var (
	_ sdk.Aggregator  = (*Aggregator)(nil)
	_ sdk.QueueLister = (*Aggregator)(nil)
)

// NewAggregator returns the proxy of the plugin that the supervisor runs. grace is the time that
// the plugin gets to finish what is in flight when Run's context ends.
func NewAggregator(s *Supervisor, grace time.Duration) *Aggregator {
	return &Aggregator{supervisor: s, grace: grace}
}

// Queues implements [sdk.QueueLister]. It fails with [sdk.ErrUnsupported] if the plugin does not
// announce the call, and at once with a [*DownError] while no process serves.
func (a *Aggregator) Queues(ctx context.Context) ([]sdk.QueueInfo, error) {
	inst, err := a.supervisor.Current()
	if err != nil {
		return nil, err
	}
	if !inst.Capabilities.Queues {
		return nil, fmt.Errorf("the plugin does not tell what its queues have: %w", sdk.ErrUnsupported)
	}
	return sdk.NewRemoteAggregator(inst.Conn, a.grace).Queues(ctx)
}

// Run implements [sdk.Aggregator] over one process after another. It goes on when a process ends,
// and ends a process whose stream ended by itself. It always returns nil: when ctx has ended and
// the last process has finished what was in flight, or its time was up; or when the supervisor has
// stopped.
func (a *Aggregator) Run(ctx context.Context, deliver sdk.Deliver) error {
	for {
		inst, _ := a.supervisor.Wait(ctx)
		if inst == nil { // ctx ended, or the supervisor did: a stop either way
			return nil
		}
		reason := "it stopped aggregating"
		if ended := a.runInstance(ctx, inst, deliver); ended != nil {
			reason += ": " + ended.Error()
		}
		if ctx.Err() != nil {
			return nil
		}
		a.supervisor.Restart(ctx, inst, reason)
		// The supervisor ends the process before another serves: without this the
		// loop would meet the same instance again.
		select {
		case <-inst.Gone():
		case <-ctx.Done():
		}
	}
}

// runInstance runs one process's aggregator. A delivery that waits for room ends with
// the process, so that the next one does not wait for it.
func (a *Aggregator) runInstance(ctx context.Context, inst *Instance, deliver sdk.Deliver) error {
	alive, dead := context.WithCancel(context.WithoutCancel(ctx))
	defer dead()
	go func() { // ends with the process, or with this call
		select {
		case <-inst.Gone():
			dead()
		case <-alive.Done():
		}
	}()
	return sdk.NewRemoteAggregator(inst.Conn, a.grace).Run(ctx,
		func(ctx context.Context, messages []sdk.Message) (*sdk.Receipt, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(alive, cancel)()
			return deliver(ctx, messages)
		})
}
