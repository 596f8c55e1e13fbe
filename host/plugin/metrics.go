package plugin

import (
	"context"
	"fmt"

	"github.com/deis/logger/sdk"
)

// Metrics asks the plugin for its own metrics (see [sdk.Exposer]). gone is closed when the process
// that answered, or the connection to it, is gone. Metrics fails with [sdk.ErrUnsupported] if the
// plugin does not announce that it has metrics, and at once with a [*DownError] while no process
// serves.
func (s *Supervisor) Metrics(ctx context.Context) (text []byte, gone <-chan struct{}, err error) {
	inst, err := s.Current()
	if err != nil {
		return nil, nil, err
	}
	if !inst.Capabilities.Metrics {
		return nil, nil, fmt.Errorf("the plugin has no metrics of its own: %w", sdk.ErrUnsupported)
	}
	text, err = inst.plugin.Metrics(ctx)
	return text, inst.Gone(), err
}
