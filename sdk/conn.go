package sdk

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// pluginConn wraps a connection to a plugin. Its calls take our codec's messages, and its errors
// are those of this package.
type pluginConn struct {
	grpc.ClientConnInterface
	kind Kind
}

// Invoke implements [grpc.ClientConnInterface].
func (c pluginConn) Invoke(ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
	var trailer metadata.MD
	opts = append(bounded(method, opts), grpc.ForceCodecV2(wireCodec), grpc.Trailer(&trailer))
	target, malformed := receiver(out)
	if err := c.ClientConnInterface.Invoke(ctx, method, in, target, opts...); err != nil {
		return c.fromStatus(ctx, err, trailer)
	}
	return c.unread(malformed())
}

// unread returns the error of an answer that could not be read.
func (c pluginConn) unread(malformed error) error {
	if malformed == nil {
		return nil
	}
	return Breach("the %s plugin's answer is against the contract: %v", c.kind, malformed)
}

// NewStream implements [grpc.ClientConnInterface].
func (c pluginConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := c.ClientConnInterface.NewStream(ctx, desc, method, bounded(method, append(opts, grpc.ForceCodecV2(wireCodec)))...)
	if err != nil {
		return nil, c.fromStatus(ctx, err, nil)
	}
	return pluginStream{stream, ctx, c}, nil
}

// fromStatus does what [fromStatus] does, but hides gRPC's text about a broken connection: its
// addresses are of no use to the caller. It knows an answer of the plugin by its trailer.
func (c pluginConn) fromStatus(ctx context.Context, err error, trailer metadata.MD) error {
	if tooLarge(ctx, err, trailer) {
		return c.unread(err)
	}
	err = fromStatus(ctx, err)
	if err == nil || len(trailer) > 0 || !errors.Is(err, ErrUnavailable) {
		return err
	}
	return &goneError{kind: c.kind, cause: err}
}

// pluginStream wraps a stream of a pluginConn.
type pluginStream struct {
	grpc.ClientStream
	ctx  context.Context // the caller's: the stream's own ends with it
	conn pluginConn
}

// RecvMsg implements [grpc.ClientStream].
func (s pluginStream) RecvMsg(m any) error {
	target, malformed := receiver(m)
	if err := s.ClientStream.RecvMsg(target); err != nil {
		return s.conn.fromStatus(s.ctx, err, s.Trailer())
	}
	return s.conn.unread(malformed())
}

// goneError fails a call whose plugin ended before it answered. It is an [ErrEnded].
type goneError struct {
	kind  Kind
	cause error
}

func (e *goneError) Error() string { return fmt.Sprintf("the %s plugin ended", e.kind) }

// Is makes it an [ErrEnded].
func (e *goneError) Is(target error) bool { return target == ErrEnded }

// Unwrap returns what gRPC says, which is ErrUnavailable.
func (e *goneError) Unwrap() error { return e.cause }

// answered sets the trailer of a stream that the plugin itself ended: see pluginConn.fromStatus. A
// unary call always has a trailer.
func answered(stream grpc.ServerStream) { stream.SetTrailer(metadata.Pairs("logger-answered", "1")) }
