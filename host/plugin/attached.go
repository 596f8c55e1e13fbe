package plugin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/deis/logger/sdk"
)

// attached runs a plugin whose process is not ours, over one connection to it. It ends with the
// connection. The plugin is neither ended nor told to shut down, since others may use it.
type attached struct {
	to    Attachment
	ended chan struct{} // closed when the connection is lost or closed; nil before there is one
	// shaken is set once a handshake of TLS is over, or none was needed, and met once the plugin
	// has answered after it. A plugin that refuses our certificate says so in between.
	shaken, met atomic.Bool
}

var _ life = (*attached)(nil)

// connect implements [life]. It reads the certificates each time.
func (a *attached) connect(ctx context.Context, _ *Options, inst *Instance) error {
	creds := insecure.NewCredentials()
	if a.to.TLS != (TLSFiles{}) {
		conf, err := a.to.TLS.load()
		if err != nil {
			return &refusedError{err}
		}
		creds = credentials.NewTLS(conf)
	}
	conn, err := grpc.NewClient(a.to.Target, append(sdk.DialOptions(),
		grpc.WithTransportCredentials(&handshake{creds, a}), grpc.WithIdleTimeout(0), grpc.WithNoProxy())...)
	if err != nil {
		return &refusedError{err}
	}
	inst.Conn, inst.PID, inst.Protocol = conn, a.to.PID, a.to.Protocol
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure {
			break // the first call says why
		}
		if !conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("no connection to %s: %w", a.to.Target, ctx.Err())
		}
	}
	a.met.Store(conn.GetState() == connectivity.Ready)
	a.ended = make(chan struct{})
	lost := context.WithoutCancel(ctx)
	go func() { // ends with the connection, which end closes
		defer close(a.ended)
		conn.WaitForStateChange(lost, connectivity.Ready)
	}()
	return nil
}

func (a *attached) gone() <-chan struct{} { return a.ended }

func (a *attached) how() string { return "the connection to " + a.to.Target + " is lost" }

func (a *attached) look(*Options) error { return nil }

func (a *attached) explain(err error) error {
	if errors.As(err, new(*refusedError)) {
		return err
	}
	hint := ""
	switch {
	case a.met.Load() || !a.shaken.Load():
	case a.to.TLS == (TLSFiles{}):
		hint = ": it may want mutual TLS"
	default:
		hint = fmt.Sprintf(": it may refuse %s=%.200q, whose authority it has to know", a.to.TLS.CertEnv, a.to.TLS.Cert)
	}
	return fmt.Errorf("%s: %s%s: %w", a.to.Target, sdk.OneLine(err.Error()), hint, sdk.ErrUnavailable)
}

// handshake wraps the transport's handshake. If the plugin's certificate is refused, the error
// names the file of our authorities.
type handshake struct {
	credentials.TransportCredentials
	of *attached
}

func (h *handshake) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := h.TransportCredentials.ClientHandshake(ctx, authority, raw)
	h.of.shaken.Store(err == nil)
	if bad := (*tls.CertificateVerificationError)(nil); errors.As(err, &bad) {
		files := h.of.to.TLS
		err = fmt.Errorf("%w: want a certificate of the plugin that is for this host and of an authority in %s=%.200q", err, files.CAEnv, files.CA)
	}
	return conn, info, err
}

func (h *handshake) Clone() credentials.TransportCredentials {
	return &handshake{h.TransportCredentials.Clone(), h.of}
}

func (a *attached) patient() bool { return a.to.Debug }

func (a *attached) end(inst *Instance, _ time.Duration) {
	if inst.Conn == nil {
		return
	}
	_ = inst.Conn.Close()
	if a.ended != nil {
		<-a.ended
	}
}
