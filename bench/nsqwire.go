package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"

	gonsq "github.com/nsqio/go-nsq"
)

// wire holds a connection to nsqd made of go-nsq's exported functions, and nothing more.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
}

const wireBuffer = 256 << 10

// dialNSQ connects and identifies.
func dialNSQ(ctx context.Context, addr string) (*wire, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &wire{conn: conn, in: bufio.NewReaderSize(conn, wireBuffer), out: bufio.NewWriterSize(conn, wireBuffer)}
	identify, err := gonsq.Identify(map[string]any{
		"client_id": "bench", "hostname": "bench", "user_agent": "logger-bench",
		"feature_negotiation": false, "heartbeat_interval": 30_000,
		"output_buffer_size": 64 << 10, "output_buffer_timeout": 25,
	})
	if err == nil {
		_, err = w.out.Write(gonsq.MagicV2)
	}
	if err == nil {
		err = w.command(identify)
	}
	if err == nil {
		err = w.ok()
	}
	if err != nil {
		return nil, fmt.Errorf("identify to nsqd: %w", joinClose(err, conn))
	}
	return w, nil
}

func joinClose(err error, conn net.Conn) error {
	_ = conn.Close() // err tells more
	return err
}

// close ends the connection, and so whatever reads from it.
func (w *wire) close() { _ = w.conn.Close() }

func (w *wire) command(c *gonsq.Command) error {
	if _, err := c.WriteTo(w.out); err != nil {
		return err
	}
	return w.out.Flush()
}

// frame returns nsqd's next frame, and answers heartbeats.
func (w *wire) frame() (kind int32, data []byte, err error) {
	for {
		if kind, data, err = gonsq.ReadUnpackedResponse(w.in); err != nil {
			return 0, nil, err
		}
		switch {
		case kind == gonsq.FrameTypeError:
			return 0, nil, fmt.Errorf("nsqd says: %s", data)
		case kind == gonsq.FrameTypeResponse && bytes.Equal(data, []byte("_heartbeat_")):
			if err := w.command(gonsq.Nop()); err != nil {
				return 0, nil, err
			}
		default:
			return kind, data, nil
		}
	}
}

// ok reads nsqd's answer, and fails unless it is OK.
func (w *wire) ok() error {
	kind, data, err := w.frame()
	if err == nil && (kind != gonsq.FrameTypeResponse || !bytes.Equal(data, []byte("OK"))) {
		err = fmt.Errorf("nsqd says: %.100q", data)
	}
	return err
}

// publisher holds a producer's connection.
type publisher struct {
	*wire
	stop func() bool
}

// newPublisher connects. The connection ends with ctx, or by close.
func newPublisher(ctx context.Context, addr string) (*publisher, error) {
	w, err := dialNSQ(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &publisher{w, context.AfterFunc(ctx, w.close)}, nil
}

func (p *publisher) close() {
	p.stop()
	p.wire.close()
}

// publish returns once nsqd has the messages.
func (p *publisher) publish(bodies ...[]byte) error {
	if err := p.send(bodies...); err != nil {
		return err
	}
	return p.ok()
}

// send writes the messages to nsqd. Call ok to read the answer.
func (p *publisher) send(bodies ...[]byte) error {
	c, err := gonsq.MultiPublish(topic, bodies)
	if err != nil {
		return err
	}
	return p.command(c)
}
