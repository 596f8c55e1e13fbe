package sdk

import (
	"context"
	"fmt"
	"strings"

	"github.com/deis/logger/sdk/pluginpb"
)

var _ QueueLister = (*RemoteAggregator)(nil)

// Queues implements [QueueLister]. The error is [ErrUnsupported] if the plugin's aggregator has no
// such call.
func (a *RemoteAggregator) Queues(ctx context.Context) ([]QueueInfo, error) {
	resp, err := a.client.Queues(ctx, &pluginpb.QueuesRequest{})
	if err != nil {
		return nil, err
	}
	queues := make([]QueueInfo, len(resp.GetQueues()))
	for i, q := range resp.GetQueues() {
		queues[i] = QueueInfo{
			Queue: q.GetQueue(), Waiting: q.GetWaiting(), InFlight: q.GetInFlight(), Deferred: q.GetDeferred(), Reason: q.GetReason(),
		}
	}
	return queues, nil
}

func (s *aggregatorServer) Queues(ctx context.Context, _ *pluginpb.QueuesRequest) (*pluginpb.QueuesResponse, error) {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	lister, ok := impl.(QueueLister)
	if !ok {
		return nil, toStatus(fmt.Errorf("this aggregator does not tell what its queues have: %w", ErrUnsupported))
	}
	queues, err := lister.Queues(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &pluginpb.QueuesResponse{Queues: make([]*pluginpb.QueueInfo, len(queues))}
	for i, q := range queues {
		resp.Queues[i] = &pluginpb.QueueInfo{
			Queue: validText(q.Queue), Waiting: q.Waiting, InFlight: q.InFlight, Deferred: q.Deferred, Reason: validText(q.Reason),
		}
	}
	return resp, nil
}

// validText returns s with U+FFFD for what is not UTF-8: protobuf would fail the whole answer for
// it.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
