package plugin

import (
	"context"

	"github.com/deis/logger/sdk"
)

// Trial runs a plugin's process for one look at it. It has no supervisor, and takes no part in what
// a host does. Make it with [Try]; [Trial.End] ends the process.
type Trial struct {
	inst *Instance
	opts Options
}

// Try launches the executable and checks its settings in this environment. It hands them over,
// which opens the implementation, only if the plugin is [sdk.Info.Inspectable]: any other plugin
// might change its backend, or take what a running one needs. Try takes the options' StartTimeout
// and a moment at most; its error is one line.
func Try(ctx context.Context, o Options) (*Trial, error) {
	inst, err := look(ctx, &o)
	if err != nil {
		return nil, err
	}
	return &Trial{inst, o}, nil
}

// Open launches the executable and opens it for work, as a host does. A Kind or Name that the
// options' Executable leaves empty is whatever the plugin says. Times and errors are as in [Try].
func Open(ctx context.Context, o Options) (*Trial, error) {
	inst, err := launch(ctx, &o, func(context.Context, error) {})
	if err != nil {
		return nil, err
	}
	return &Trial{inst, o}, nil
}

// Stray returns the first line that the process printed on stdout before its handshake, "" if there
// is none. A host logs such lines.
func (t *Trial) Stray() string {
	l, ok := t.inst.life.(*launched)
	if !ok {
		return ""
	}
	l.process.mu.Lock()
	defer l.process.mu.Unlock()
	return l.process.stray
}

// Description returns what the plugin says of itself.
func (t *Trial) Description() sdk.Description { return t.inst.Description }

// Check asks an inspectable plugin whether it can do its work.
func (t *Trial) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.opts.CheckTimeout)
	defer cancel()
	return t.inst.plugin.Check(ctx)
}

// End ends the process.
func (t *Trial) End() { t.inst.life.end(t.inst, t.opts.StopTimeout) }
