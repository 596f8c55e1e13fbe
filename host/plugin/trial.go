package plugin

import (
	"context"

	"github.com/deis/logger/sdk"
)

// Trial is a plugin's process for one look at it, with no supervisor and no part in what
// a host does. Make it with [Try]; [Trial.End] ends the process.
type Trial struct {
	inst *Instance
	stop Options
}

// Try launches the executable and checks its settings in this environment. With
// configure set it hands them over too, which opens the implementation: whatever that
// does, a second process of the plugin does it now. Without, the process has ended
// already when Try returns. It takes the options' StartTimeout and a moment; its error
// is one line.
func Try(ctx context.Context, o Options, configure bool) (*Trial, error) {
	if configure {
		inst, err := launch(ctx, &o, func(context.Context, error) {})
		if err != nil {
			return nil, err
		}
		return &Trial{inst, o}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	valid := false
	_, err := launch(ctx, &o, func(context.Context, error) {
		valid = true
		cancel() // before the settings are handed over: so it always fails
	})
	if !valid {
		return nil, err
	}
	return &Trial{nil, o}, nil
}

// Description is what the plugin says of itself; empty if it was not configured.
func (t *Trial) Description() (d sdk.Description) {
	if t.inst != nil {
		d = t.inst.Description
	}
	return d
}

// Check asks the configured plugin whether it can do its work.
func (t *Trial) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.stop.CheckTimeout)
	defer cancel()
	return t.inst.plugin.Check(ctx)
}

// End ends the process.
func (t *Trial) End() {
	if t.inst != nil {
		t.inst.end(t.stop.StopTimeout)
	}
}
