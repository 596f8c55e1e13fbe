package nsq

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"time"

	"github.com/golang/snappy"
	gonsq "github.com/nsqio/go-nsq"
)

const (
	dialTimeout = 2 * time.Second
	// handshakeTimeout leaves nsqd the time to ask its auth server.
	handshakeTimeout = 10 * time.Second

	// heartbeat is the time between two heartbeats of nsqd, which wants an answer within two of
	// them. If two are missing, nsqd hangs or is out of reach.
	heartbeat  = 5 * time.Second
	maxSilence = 12 * time.Second

	// outputTimeout bounds the time that a lone line waits in nsqd. It is the least that nsqd
	// accepts by default. outputBytes bounds what nsqd writes at once. It is the most that nsqd
	// accepts.
	outputTimeout = 25 * time.Millisecond
	outputBytes   = 64 << 10

	// maxAnswerBytes is larger than any of nsqd's answers in the handshake.
	maxAnswerBytes = 64 << 10

	// defaultMaxReady is the limit of RDY for an nsqd that does not state its own.
	defaultMaxReady = 2500

	userAgent = "logger-aggregator-nsq"
)

// handshake begins every connection.
type handshake struct {
	topic, channel string
	hostname       string
	messageTimeout time.Duration
	heartbeat      time.Duration
	silence        time.Duration
	tls            *tls.Config // nil without
	secret         string
	compression    string
}

// capabilities holds nsqd's answer to IDENTIFY.
type capabilities struct {
	MaxReady     int64  `json:"max_rdy_count"`
	Version      string `json:"version"`
	TLS          bool   `json:"tls_v1"`
	Deflate      bool   `json:"deflate"`
	Snappy       bool   `json:"snappy"`
	AuthRequired bool   `json:"auth_required"`
}

// dial connects to nsqd and subscribes. With modest set it asks for nothing that nsqd may be
// configured to refuse. It ends soon after ctx.
func (h *handshake) dial(ctx context.Context, addr string, modest bool) (*conn, error) {
	raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	hurry := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	c := &conn{
		addr: addr, silence: h.silence, raw: raw, stream: stream{Reader: raw, Writer: raw},
		wakeup: make(chan struct{}, 1), broken: make(chan struct{}),
		closeWait: make(chan struct{}), ended: make(chan struct{}),
	}
	err = raw.SetDeadline(time.Now().Add(handshakeTimeout))
	if err == nil {
		err = h.shake(ctx, c, modest)
	}
	if !hurry() && err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = raw.Close() // err says more
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	c.frames.src = c.stream
	return c, nil
}

func (h *handshake) shake(ctx context.Context, c *conn, modest bool) error {
	caps, err := h.identify(c, modest)
	if err != nil {
		return err
	}
	c.maxReady = defaultMaxReady
	if caps.MaxReady > 0 {
		c.maxReady = int(min(caps.MaxReady, math.MaxInt32))
	}
	c.about = caps.Version
	if h.tls != nil {
		if !caps.TLS {
			return errors.New("NSQ_TLS is set, and this nsqd has no TLS")
		}
		if err := c.secure(ctx, h.tls); err != nil {
			return err
		}
		c.about += ", TLS"
	}
	if err := c.compress(caps); err != nil {
		return err
	}
	if caps.AuthRequired {
		if err := h.authenticate(c); err != nil {
			return err
		}
	}
	_, err = c.ask(gonsq.Subscribe(h.topic, h.channel))
	return err
}

func (h *handshake) identify(c *conn, modest bool) (capabilities, error) {
	var caps capabilities
	about := map[string]any{
		"client_id":           h.hostname,
		"hostname":            h.hostname,
		"user_agent":          userAgent,
		"feature_negotiation": true,
		"heartbeat_interval":  h.heartbeat.Milliseconds(),
		"msg_timeout":         h.messageTimeout.Milliseconds(),
		"tls_v1":              h.tls != nil,
		"deflate":             h.compression == "deflate",
		"snappy":              h.compression == "snappy",
	}
	if !modest {
		about["output_buffer_timeout"] = outputTimeout.Milliseconds()
		about["output_buffer_size"] = outputBytes
	}
	cmd, err := gonsq.Identify(about)
	if err != nil {
		return caps, err
	}
	if _, err := c.stream.Write(gonsq.MagicV2); err != nil {
		return caps, err
	}
	answer, err := c.ask(cmd)
	switch {
	case errors.Is(err, errClosed):
		return caps, errors.New("it closes the connection at once: is this nsqd's TCP port?")
	case err != nil:
		return caps, err
	}
	if err := json.Unmarshal(answer, &caps); err != nil {
		return caps, fmt.Errorf("answer to IDENTIFY: %q", oneLine(answer))
	}
	return caps, nil
}

// secure puts TLS above the connection.
func (c *conn) secure(ctx context.Context, config *tls.Config) error {
	host, _, err := net.SplitHostPort(c.addr)
	if err != nil {
		return err
	}
	config = config.Clone()
	config.ServerName = host
	t := tls.Client(c.raw, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return tlsError(err)
	}
	c.stream = stream{Reader: t, Writer: t}
	if err := c.expectOK(); err != nil { // here a server says that a certificate is missing
		var remote *net.OpError
		if errors.As(err, &remote) {
			return tlsError(err)
		}
		return err
	}
	return nil
}

// compress puts the compression that nsqd agreed to above the connection. If nsqd did not agree to
// any, there is none.
func (c *conn) compress(caps capabilities) error {
	below := c.stream
	switch {
	case caps.Snappy:
		c.stream = stream{
			Reader: snappy.NewReader(below),
			Writer: snappy.NewWriter(below), //nolint:staticcheck // the unbuffered one: what is written goes at once
		}
		c.about += ", snappy"
	case caps.Deflate:
		w, err := flate.NewWriter(below, flate.BestSpeed)
		if err != nil {
			return err
		}
		c.stream = stream{Reader: flate.NewReader(bufio.NewReaderSize(below, outputBytes)), Writer: w, flush: w.Flush}
		c.about += ", deflate"
	default:
		return nil
	}
	return c.expectOK()
}

func (h *handshake) authenticate(c *conn) error {
	if h.secret == "" {
		return errors.New("this nsqd wants AUTH, and NSQ_AUTH_SECRET is not set")
	}
	cmd, err := gonsq.Auth(h.secret)
	if err != nil {
		return err
	}
	_, err = c.ask(cmd)
	return err
}

// ask sends a command of the handshake and returns the answer.
func (c *conn) ask(cmd *gonsq.Command) ([]byte, error) {
	var b bytes.Buffer
	_, _ = cmd.WriteTo(&b) // a buffer takes anything
	if err := c.say(b.Bytes()); err != nil {
		return nil, err
	}
	return c.answer()
}

func (c *conn) say(text []byte) error {
	if _, err := c.stream.Write(text); err != nil {
		return err
	}
	if c.stream.flush != nil {
		return c.stream.flush()
	}
	return nil
}

func (c *conn) expectOK() error {
	answer, err := c.answer()
	if err == nil && !bytes.Equal(answer, []byte("OK")) {
		err = fmt.Errorf("unexpected answer %q", oneLine(answer))
	}
	return err
}

// answer waits for nsqd's answer.
func (c *conn) answer() ([]byte, error) {
	for {
		kind, data, err := readFrame(c.stream)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errClosed
		case err != nil:
			return nil, err
		case kind == gonsq.FrameTypeError:
			return nil, newRefusal(data)
		case kind != gonsq.FrameTypeResponse:
			return nil, fmt.Errorf("a frame of the kind %d in answer", kind)
		case !bytes.Equal(data, []byte("_heartbeat_")):
			return data, nil
		}
		var nop bytes.Buffer
		_, _ = gonsq.Nop().WriteTo(&nop) // a buffer takes anything
		if err := c.say(nop.Bytes()); err != nil {
			return nil, err
		}
	}
}

// readFrame reads one frame of the handshake and not a byte more: what follows may belong to
// another layer.
func readFrame(r io.Reader) (kind int32, data []byte, err error) {
	head := make([]byte, sizeBytes)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	if err := notNSQ(head); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head)
	if size < kindBytes || size > maxAnswerBytes {
		return 0, nil, errors.New("this does not speak NSQ's protocol")
	}
	data = make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return 0, nil, err
	}
	if bytes.HasPrefix(data, []byte("E_")) { // nsqlookupd's frames have no kind
		return gonsq.FrameTypeError, data, nil
	}
	return gonsq.UnpackResponse(data)
}
