package aggregatortest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// RunExecutable checks an aggregator plugin's executable, in whatever language it is written: each
// subtest starts it as a host does. Beside what [Run] checks, the plugin has to describe itself,
// lose nothing when it crashes, and end with its host. Open makes an empty transport for one
// subtest and returns the settings that lead to it.
func RunExecutable(t *testing.T, path string, open func(t *testing.T) (Transport, map[string]string), opts ...plugintest.Option) {
	t.Helper()
	e := executable{path: path, waits: &waits{}, open: func(t plugintest.T) (Transport, map[string]string) { return open(t.(*testing.T)) }}
	plugintest.Run(t, e.checks(), opts...)
}

// Check checks an aggregator plugin's executable without go test. It calls observe with each
// result as the check ends, and reports whether no check failed. All checks share the transport.
// If it holds messages, it is in use, and Check refuses it. Transport may be nil. Check
// reports two sorts as left out: checks that need a transport, if there is none, and checks of
// optional calls that the plugin does not announce. An error means that nothing was checked.
func Check(ctx context.Context, path string, settings map[string]string, transport Transport, observe func(plugintest.Result), opts ...plugintest.Option) (ok bool, err error) {
	p, err := plugintest.Launch(ctx, path)
	if err != nil {
		return false, err
	}
	caps, configured := p.Configure(ctx, settings, "")
	p.Close()
	if p.Description.Kind != sdk.AggregatorKind {
		return false, sdk.Refusef("%s is %s plugin %q, not an aggregator", path, p.Description.Kind, p.Description.Name)
	}
	if configured == nil && !caps.Queues { // one that cannot be configured fails by name
		opts = append([]plugintest.Option{plugintest.Without("Queues", "the plugin does not announce CAPABILITY_QUEUES")}, opts...)
	}
	e := executable{path: path, waits: &waits{}}
	e.open = func(t plugintest.T) (Transport, map[string]string) {
		if transport != nil {
			e.drain(t, transport, settings)
		}
		return transport, settings
	}
	all := e.checks()
	if transport == nil {
		alone := e.alone()
		for _, c := range all {
			if !slices.ContainsFunc(alone, func(a plugintest.Check) bool { return a.Name == c.Name }) {
				opts = append(opts, plugintest.Without(c.Name, "it needs a transport to publish to"))
			}
		}
		return plugintest.Report(ctx, all, observe, opts...)
	}
	n, err := watch(transport, 0)
	if err != nil {
		return false, fmt.Errorf("ask what is outstanding: %w", err)
	}
	if n > 0 {
		return false, sdk.Refusef("the transport holds %d messages already: want an empty one that nobody uses", n)
	}
	return plugintest.Report(ctx, all, observe, opts...)
}

type executable struct {
	path  string
	open  func(plugintest.T) (Transport, map[string]string)
	waits *waits
}

func (e executable) program(settings func(t plugintest.T) map[string]string) plugintest.Executable {
	return plugintest.Executable{Path: e.path, Kind: sdk.AggregatorKind, Settings: settings}
}

// alone returns the checks that publish nothing.
func (e executable) alone() []plugintest.Check {
	return e.program(func(t plugintest.T) map[string]string {
		_, settings := e.open(t)
		return settings
	}).Checks()
}

func (e executable) checks() []plugintest.Check {
	all := append(e.alone(), plugintest.Check{Name: "Crash", Run: e.crash})
	return append(all, checks(e.waits, func(t plugintest.T) (Transport, func() sdk.Aggregator) {
		transport, settings := e.open(t)
		return transport, func() sdk.Aggregator {
			a, _ := e.launch(t, settings)
			return a
		}
	})...)
}

// launch starts a process and returns its aggregator.
func (e executable) launch(t plugintest.T, settings map[string]string) (sdk.Aggregator, *plugintest.Plugin) {
	t.Helper()
	program := e.program(func(plugintest.T) map[string]string { return settings })
	p := program.Start(t)
	program.Configure(t, p, "")
	return checked{sdk.NewRemoteAggregator(p.Conn, grace), p.Calls}, p
}

// crash: the messages that a process had in flight when it died come to the next process.
func (e executable) crash(t plugintest.T) {
	transport, settings := e.open(t)
	var process *plugintest.Plugin
	s := &subject{T: t, transport: transport, waits: e.waits}
	s.open = func() (a sdk.Aggregator) {
		a, process = e.launch(t, settings)
		return a
	}
	h := holding()
	c := s.start(h)
	s.publish(numbered(1, 5)...)
	s.eventually("a message is delivered", func() bool { return h.count() > 0 })
	process.Kill()
	if waited := c.awaitEnd(stopPatience); waited > 0 {
		t.Errorf("its stream lives %s longer than the process", waited)
	}
	next := &host{}
	s.start(next)
	s.empty()
	for _, p := range numbered(1, 5) {
		if next.times(p) == 0 {
			t.Errorf("%q did not come to the next", p)
		}
	}
}

// drain takes what a failed check left behind.
func (e executable) drain(t plugintest.T, transport Transport, settings map[string]string) {
	t.Helper()
	if n, err := watch(transport, 0); err != nil || n == 0 {
		if err != nil {
			t.Fatalf("Outstanding: %v", err)
		}
		return
	}
	a, p := e.launch(t, settings)
	defer p.Close()
	patience := e.waits.patience(patience)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Run(ctx, (&host{}).deliver) // whether it works shows below
	}()
	defer func() { <-done }()
	defer cancel()
	for ctx.Err() == nil {
		n, err := watch(transport, 0)
		if err != nil {
			t.Fatalf("Outstanding: %v", err)
		}
		if n == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	e.waits.spent(patience)
	t.Fatalf("an earlier check left messages behind that nothing takes: %s", p.Said())
}
