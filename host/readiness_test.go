package host

import (
	"slices"
	"testing"

	"github.com/deis/logger/host/plugin"
)

// fakePlugin holds a plugin's states. It is in the last of them, and was in the others before.
type fakePlugin []plugin.State

func (f fakePlugin) Status() plugin.Status { return plugin.Status{State: f[len(f)-1]} }

func (f fakePlugin) Reached(states ...plugin.State) bool {
	return slices.ContainsFunc(states, func(s plugin.State) bool { return slices.Contains(f, s) })
}

// TestReadiness: earlier states of the plugins count, whether or not somebody asked meanwhile.
func TestReadiness(t *testing.T) {
	const ready, degraded, starting, away = plugin.Ready, plugin.Degraded, plugin.Starting, plugin.BackingOff
	for name, tc := range map[string]struct {
		storage, aggregator fakePlugin
		ready, serving      bool
	}{
		"ready":                                 {fakePlugin{starting, ready}, fakePlugin{starting, ready}, true, true},
		"the queue is away":                     {fakePlugin{starting, ready}, fakePlugin{starting, degraded}, true, true},
		"the backend froze before anyone asked": {fakePlugin{starting, ready, degraded}, fakePlugin{starting, ready}, false, true},
		"the backend was never there":           {fakePlugin{starting, degraded}, fakePlugin{starting, ready}, false, false},
		"the storage's process is away":         {fakePlugin{starting, ready, away}, fakePlugin{starting, ready}, false, false},
		"the aggregator's process is away":      {fakePlugin{starting, ready}, fakePlugin{starting, ready, away}, false, false},
		"the aggregator never came":             {fakePlugin{starting, ready}, fakePlugin{starting}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := readiness(tc.storage, tc.aggregator)
			if got.Ready != tc.ready || got.Serving != tc.serving {
				t.Errorf("ready %t, serving %t", got.Ready, got.Serving)
			}
		})
	}
}
