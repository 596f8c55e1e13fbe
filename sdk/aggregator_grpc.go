package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/deis/logger/sdk/pluginpb"
)

// maxUnacked bounds the batches that a remote aggregator may have under way. Further ones wait in
// the stream, and so in the aggregator.
const maxUnacked = 1024

// RemoteAggregator is an [Aggregator] in a plugin process.
type RemoteAggregator struct {
	client pluginpb.AggregatorServiceClient
	grace  time.Duration
}

var _ Aggregator = (*RemoteAggregator)(nil)

// NewRemoteAggregator makes a client of the plugin behind the connection, which
// stays the caller's. When Run's context ends, the plugin gets grace to finish
// what is in flight.
func NewRemoteAggregator(conn grpc.ClientConnInterface, grace time.Duration) *RemoteAggregator {
	return &RemoteAggregator{client: pluginpb.NewAggregatorServiceClient(pluginConn{conn, AggregatorKind}), grace: grace}
}

// Run implements [Aggregator]. It returns nil after a stop that the plugin carried
// out, and [ErrUnavailable] when the plugin is gone.
func (a *RemoteAggregator) Run(ctx context.Context, deliver Deliver) error {
	// The stream outlives ctx: after the stop, acks still flow for the grace.
	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stream, err := a.client.Run(streamCtx)
	if err != nil {
		return err
	}
	r := &remoteRun{stream: stream, unacked: make(chan unackedBatch, maxUnacked)}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { r.ack(streamCtx) })
	wg.Go(func() {
		select {
		case <-streamCtx.Done():
			return
		case <-ctx.Done():
		}
		r.send(&pluginpb.RunRequest{Request: &pluginpb.RunRequest_Stop{
			Stop: &pluginpb.Stop{GraceMillis: a.grace.Milliseconds()},
		}})
		// A plugin that does not end by itself is cut off: its transport gets the
		// messages back.
		t := time.NewTimer(a.grace + stopMargin)
		defer t.Stop()
		select {
		case <-streamCtx.Done():
		case <-t.C:
			cancel()
		}
	})
	var resp runResponse
	defer resp.release()
	for {
		err := stream.RecvMsg(&resp)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		receipt, err := deliver(streamCtx, resp.messages)
		resp.release()
		if err != nil {
			receipt = NewReceipt()
			receipt.Resolve(err)
		}
		select {
		case r.unacked <- unackedBatch{number: resp.batch, receipt: receipt}:
		case <-streamCtx.Done():
			return streamCtx.Err()
		}
	}
}

const (
	// ackMargin bounds how long after the grace the host's last acks may take.
	ackMargin = 250 * time.Millisecond
	// stopMargin bounds how long after the grace a stopped plugin may take to give back what was
	// not acknowledged.
	stopMargin = 750 * time.Millisecond
)

type unackedBatch struct {
	number  uint64
	receipt *Receipt
}

type remoteRun struct {
	sendMu  sync.Mutex // a gRPC stream takes one Send at a time
	stream  grpc.BidiStreamingClient[pluginpb.RunRequest, pluginpb.RunResponse]
	unacked chan unackedBatch
}

// ack answers the batches in order, as their receipts resolve.
func (r *remoteRun) ack(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-r.unacked:
			select {
			case <-ctx.Done():
				return
			case <-b.receipt.Done():
			}
			ack := &pluginpb.Ack{Batch: b.number}
			if err := b.receipt.Err(); err != nil {
				ack.Code, ack.Reason = int32(code(err)), err.Error()
			}
			r.send(&pluginpb.RunRequest{Request: &pluginpb.RunRequest_Ack{Ack: ack}})
		}
	}
}

// send drops its error: a broken stream shows in Recv.
func (r *remoteRun) send(req *pluginpb.RunRequest) {
	r.sendMu.Lock()
	defer r.sendMu.Unlock()
	_ = r.stream.Send(req)
}

// aggregatorServer serves AggregatorService over an implementation.
type aggregatorServer struct {
	pluginpb.UnimplementedAggregatorServiceServer
	impl    *implementation[Aggregator]
	running atomic.Bool // whether a shared one runs
}

// Run implements AggregatorService. A shared aggregator runs for one host at a time, and is closed
// when that host is gone: an implementation runs once. The next host opens another.
func (s *aggregatorServer) Run(stream grpc.BidiStreamingServer[pluginpb.RunRequest, pluginpb.RunResponse]) error {
	if s.impl.shared {
		if !s.running.CompareAndSwap(false, true) {
			answered(stream)
			return toStatus(fmt.Errorf("another logger takes this plugin's messages: %w", ErrUnavailable))
		}
		defer s.running.Store(false)
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(stream.Context()), closeTime)
			defer cancel()
			_ = s.impl.close(ctx)
		}()
	}
	impl, leave, err := s.impl.enter()
	if err != nil {
		return err
	}
	defer leave()
	defer answered(stream)
	runCtx, stop := context.WithCancel(stream.Context())
	defer stop()
	r := &servedRun{stream: stream, pending: map[uint64]*Receipt{}}
	go r.receive(stop) // ends with the stream, which ends when Run returns
	err = impl.Run(runCtx, r.deliver)
	r.fail(fmt.Errorf("the aggregator ended: %w", ErrStopping))
	return toStatus(err)
}

// servedRun holds one Run stream, seen from the plugin.
type servedRun struct {
	sendMu sync.Mutex // orders numbers and sends
	last   uint64
	stream grpc.BidiStreamingServer[pluginpb.RunRequest, pluginpb.RunResponse]

	mu      sync.Mutex
	pending map[uint64]*Receipt
	ended   error // set once no ack can come any more
}

func (r *servedRun) deliver(ctx context.Context, messages []Message) (*Receipt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	receipt := NewReceipt()
	r.sendMu.Lock()
	defer r.sendMu.Unlock()
	number := r.last + 1
	if err := atMost(len(messages), maxBatchMessages, "messages of a batch"); err != nil {
		return nil, err
	}
	batch, err := encodeMessages(number, messages)
	if err != nil {
		return nil, err
	}
	if err := atMost(batch.data.Len(), maxBatchBytes, "bytes of a batch"); err != nil {
		return nil, err
	}
	r.last = number
	r.mu.Lock()
	ended := r.ended
	if ended == nil {
		r.pending[number] = receipt
	}
	r.mu.Unlock()
	if ended != nil {
		return nil, ended
	}
	if err := r.stream.SendMsg(batch); err != nil {
		r.mu.Lock()
		delete(r.pending, number)
		r.mu.Unlock()
		return nil, fromStatus(ctx, err)
	}
	return receipt, nil
}

// receive takes acks until the stream ends, and carries out the stop.
func (r *servedRun) receive(stop context.CancelFunc) {
	defer stop()
	for {
		req, err := r.stream.Recv()
		if err != nil {
			r.fail(fmt.Errorf("the host is gone: %w", ErrUnavailable))
			return
		}
		switch req := req.GetRequest().(type) {
		case *pluginpb.RunRequest_Ack:
			r.resolve(req.Ack)
		case *pluginpb.RunRequest_Stop:
			grace := time.Duration(req.Stop.GetGraceMillis()) * time.Millisecond
			// The host resolves what is not stored when the grace is over; this is for a host that
			// does not.
			time.AfterFunc(grace+ackMargin, func() {
				r.fail(fmt.Errorf("not stored within the stop timeout of %s: %w", grace, ErrStopping))
			})
			stop()
		}
	}
}

func (r *servedRun) resolve(ack *pluginpb.Ack) {
	r.mu.Lock()
	receipt := r.pending[ack.GetBatch()]
	delete(r.pending, ack.GetBatch())
	r.mu.Unlock()
	if receipt != nil {
		receipt.Resolve(remoteError(codes.Code(ack.GetCode()), ack.GetReason()))
	}
}

// fail resolves every receipt with err: no ack counts any more.
func (r *servedRun) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == nil {
		r.ended = err
	}
	for n, receipt := range r.pending {
		receipt.Resolve(err)
		delete(r.pending, n)
	}
}
