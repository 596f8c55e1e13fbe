package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"

	gonsq "github.com/nsqio/go-nsq"
)

// nsqConn holds a connection to nsqd made of go-nsq's exported functions, and nothing more.
type nsqConn struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
}

const connBuffer = 256 << 10

// dialNSQ connects and identifies.
func dialNSQ(ctx context.Context, addr string) (*nsqConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &nsqConn{conn: conn, in: bufio.NewReaderSize(conn, connBuffer), out: bufio.NewWriterSize(conn, connBuffer)}
	identify, err := gonsq.Identify(map[string]any{
		"client_id": "bench", "hostname": "bench", "user_agent": "logger-bench",
		"feature_negotiation": false, "heartbeat_interval": 30_000,
		"output_buffer_size": 64 << 10, "output_buffer_timeout": 25,
	})
	if err == nil {
		_, err = c.out.Write(gonsq.MagicV2)
	}
	if err == nil {
		err = c.command(identify)
	}
	if err == nil {
		err = c.ok()
	}
	if err != nil {
		return nil, fmt.Errorf("identify to nsqd: %w", joinClose(err, conn))
	}
	return c, nil
}

func joinClose(err error, conn net.Conn) error {
	_ = conn.Close() // err tells more
	return err
}

// close ends the connection, and so whatever reads from it.
func (c *nsqConn) close() { _ = c.conn.Close() }

func (c *nsqConn) command(command *gonsq.Command) error {
	if _, err := command.WriteTo(c.out); err != nil {
		return err
	}
	return c.out.Flush()
}

// frame returns nsqd's next frame, and answers heartbeats.
func (c *nsqConn) frame() (kind int32, data []byte, err error) {
	for {
		if kind, data, err = gonsq.ReadUnpackedResponse(c.in); err != nil {
			return 0, nil, err
		}
		switch {
		case kind == gonsq.FrameTypeError:
			return 0, nil, fmt.Errorf("nsqd says: %s", data)
		case kind == gonsq.FrameTypeResponse && bytes.Equal(data, []byte("_heartbeat_")):
			if err := c.command(gonsq.Nop()); err != nil {
				return 0, nil, err
			}
		default:
			return kind, data, nil
		}
	}
}

// ok reads nsqd's answer, and fails unless it is OK.
func (c *nsqConn) ok() error {
	kind, data, err := c.frame()
	if err == nil && (kind != gonsq.FrameTypeResponse || !bytes.Equal(data, []byte("OK"))) {
		err = fmt.Errorf("nsqd says: %.100q", data)
	}
	return err
}

// publisher holds a producer's connection.
type publisher struct {
	*nsqConn
	stop func() bool
}

// newPublisher connects. The connection ends with ctx, or by close.
func newPublisher(ctx context.Context, addr string) (*publisher, error) {
	c, err := dialNSQ(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &publisher{c, context.AfterFunc(ctx, c.close)}, nil
}

func (p *publisher) close() {
	p.stop()
	p.nsqConn.close()
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
