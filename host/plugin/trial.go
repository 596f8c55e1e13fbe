package plugin

import (
	"context"

	"github.com/deis/logger/sdk"
)

// Trial is a plugin's process for one look at it, with no supervisor and no part in what
// a host does. Make it with [Try]; [Trial.End] ends the process.
type Trial struct {
	inst *Instance
	opts Options
}

// Try launches the executable and checks its settings in this environment. It hands them
// over, which opens the implementation, only if the plugin is [sdk.Info.Inspectable]: any
// other one might change its backend, or take what a running one needs. It takes the options'
// StartTimeout and a moment; its error is one line.
func Try(ctx context.Context, o Options) (*Trial, error) {
	inst, err := look(ctx, &o)
	if err != nil {
		return nil, err
	}
	return &Trial{inst, o}, nil
}

// Description is what the plugin says of itself.
func (t *Trial) Description() sdk.Description { return t.inst.Description }

// Check asks an inspectable plugin whether it can do its work.
func (t *Trial) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.opts.CheckTimeout)
	defer cancel()
	return t.inst.plugin.Check(ctx)
}

// End ends the process.
func (t *Trial) End() { t.inst.end(t.opts.StopTimeout) }
