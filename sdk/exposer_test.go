package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/deis/logger/sdk/pluginpb"
)

// exposing adds metrics to an aggregator.
type exposing struct {
	idle
	text string
	err  error
}

func (e exposing) Metrics(context.Context) ([]byte, error) {
	if e.text == "panic" {
		panic("of the plugin")
	}
	return []byte(e.text), e.err
}

func TestMetricsOverTheWire(t *testing.T) {
	full := strings.Repeat("x", maxMetricsBytes-10)
	for name, c := range map[string]struct {
		aggregator Aggregator
		want       string
		err        error
		announced  bool
	}{
		"told":        {exposing{text: "m 1\n"}, "m 1\n", nil, true},
		"no UTF-8":    {exposing{text: "m \xff\n"}, "m \xff\n", nil, true}, // the host refuses it
		"none":        {exposing{}, "", nil, true},
		"the most":    {exposing{text: full}, full, nil, true},
		"too large":   {exposing{text: full + full}, "", ErrContract, true},
		"not known":   {exposing{err: fmt.Errorf("gather: %w", ErrUnavailable)}, "", ErrUnavailable, true},
		"panics":      {exposing{text: "panic"}, "", ErrPanic, true},
		"unsupported": {idle{}, "", ErrUnsupported, false},
	} {
		t.Run(name, func(t *testing.T) {
			open := func(context.Context, struct{}, Host) (Aggregator, error) { return c.aggregator, nil }
			base, err := newPluginServer(AggregatorKind, Info{Name: "test"}, &implementation[Aggregator]{}, newLogger(), open)
			if err != nil {
				t.Fatal(err)
			}
			calls := NewPluginClient(connect(t, func(s *grpc.Server) { pluginpb.RegisterPluginServiceServer(s, base) }))
			if _, err := calls.Metrics(t.Context()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("before Configure: %v", err)
			}
			caps, err := calls.Configure(t.Context(), Configuration{})
			if err != nil || caps.Metrics != c.announced {
				t.Fatalf("%+v, %v", caps, err)
			}
			got, err := calls.Metrics(t.Context())
			if string(got) != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %.80q, %v, want %.80q, %v", got, err, c.want, c.err)
			}
		})
	}
}

// TestMetricsOfAnOlderPlugin asks a plugin whose SDK did not have the method.
func TestMetricsOfAnOlderPlugin(t *testing.T) {
	conn := connect(t, func(s *grpc.Server) {
		pluginpb.RegisterPluginServiceServer(s, &pluginpb.UnimplementedPluginServiceServer{})
	})
	if _, err := NewPluginClient(conn).Metrics(t.Context()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
