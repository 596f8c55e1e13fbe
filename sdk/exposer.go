package sdk

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/deis/logger/sdk/pluginpb"
)

// Exposer is a [Storage] or [Aggregator] that has Prometheus metrics of its own. A host puts them
// into its /metrics. The Registry of sdk/metrics is one.
type Exposer interface {
	// Metrics returns the metrics in Prometheus's text format, version 0.0.4. Its bounds are
	// those of sdk/metrics.Parse. The names have no prefix: the host puts logger_KIND_NAME_
	// before each. Metrics is called when somebody scrapes, at most once at a time from each
	// host, and answers within a second.
	Metrics(ctx context.Context) ([]byte, error)
}

// Metrics asks the plugin for its own metrics, and returns them unchecked. The error is
// [ErrUnsupported] if the plugin has no [Exposer], and [ErrContract] if the answer is too large.
func (c *PluginClient) Metrics(ctx context.Context) ([]byte, error) {
	var trailer metadata.MD
	opts := bounded(pluginpb.PluginService_Metrics_FullMethodName, []grpc.CallOption{grpc.Trailer(&trailer)})
	resp, err := c.client.Metrics(ctx, &pluginpb.MetricsRequest{}, opts...)
	switch {
	case tooLarge(ctx, err, trailer):
		return nil, Breach("the metrics are larger than %d KiB", maxMetricsBytes>>10)
	case err != nil:
		return nil, fromStatus(ctx, err)
	}
	return resp.GetText(), nil
}

func (s *pluginServer[S, T]) Metrics(ctx context.Context, _ *pluginpb.MetricsRequest) (*pluginpb.MetricsResponse, error) {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	exposer, ok := any(impl).(Exposer)
	if !ok {
		return nil, toStatus(fmt.Errorf("this plugin has no metrics of its own: %w", ErrUnsupported))
	}
	text, err := exposer.Metrics(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	return &pluginpb.MetricsResponse{Text: text}, nil
}
