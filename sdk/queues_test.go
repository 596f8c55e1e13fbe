package sdk

import (
	"context"
	"errors"
	"slices"
	"testing"

	"google.golang.org/grpc"

	"github.com/deis/logger/sdk/pluginpb"
)

// idle takes no messages.
type idle struct{}

func (idle) Run(ctx context.Context, _ Deliver) error {
	<-ctx.Done()
	return nil
}

// listing adds Queues to an idle aggregator.
type listing struct {
	idle
	queues []QueueInfo
	err    error
}

func (l listing) Queues(context.Context) ([]QueueInfo, error) { return l.queues, l.err }

func TestQueuesOverTheWire(t *testing.T) {
	all := []QueueInfo{
		{Queue: "10.0.0.7:4150", Waiting: 1 << 60, InFlight: 2, Deferred: 3},
		{Queue: "[::1]:4150", Reason: "it is away"},
	}
	for name, c := range map[string]struct {
		aggregator Aggregator
		want       []QueueInfo
		err        error
	}{
		"told":        {listing{queues: all}, all, nil},
		"none":        {listing{}, nil, nil},
		"not known":   {listing{err: ErrUnavailable}, nil, ErrUnavailable},
		"no UTF-8":    {listing{queues: []QueueInfo{{Queue: "a\xff", Reason: "\xff"}}}, []QueueInfo{{Queue: "a\uFFFD", Reason: "\uFFFD"}}, nil},
		"unsupported": {idle{}, nil, ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, func(s *grpc.Server) { RegisterAggregator(s, c.aggregator) })
			got, err := NewRemoteAggregator(conn, 0).Queues(t.Context())
			if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
				t.Errorf("got %+v, %v, want %+v, %v", got, err, c.want, c.err)
			}
		})
	}
}

// TestQueuesOfAnOlderPlugin asks a plugin whose SDK did not have the method.
func TestQueuesOfAnOlderPlugin(t *testing.T) {
	conn := connect(t, func(s *grpc.Server) {
		pluginpb.RegisterAggregatorServiceServer(s, &pluginpb.UnimplementedAggregatorServiceServer{})
	})
	if _, err := NewRemoteAggregator(conn, 0).Queues(t.Context()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v, want %v", err, ErrUnsupported)
	}
}

func TestQueuesAreAnnounced(t *testing.T) {
	for name, c := range map[string]struct {
		aggregator Aggregator
		want       Capabilities
	}{
		"a lister": {listing{}, Capabilities{Queues: true}},
		"none":     {idle{}, Capabilities{}},
	} {
		t.Run(name, func(t *testing.T) {
			open := func(context.Context, struct{}, Host) (Aggregator, error) { return c.aggregator, nil }
			base, err := newPluginServer(AggregatorKind, Info{Name: "test"}, &implementation[Aggregator]{}, newLogger(), open)
			if err != nil {
				t.Fatal(err)
			}
			conn := connect(t, func(s *grpc.Server) { pluginpb.RegisterPluginServiceServer(s, base) })
			got, err := NewPluginClient(conn).Configure(t.Context(), Configuration{})
			if got != c.want || err != nil {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}
