package sdk

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// The variables of a plugin that no host starts: see [ServeStorage].
const (
	listenEnv   = "LOGGER_PLUGIN_LISTEN"
	stateDirEnv = "LOGGER_PLUGIN_STATE_DIR"
	certFileEnv = "LOGGER_PLUGIN_TLS_CERT_FILE"
	keyFileEnv  = "LOGGER_PLUGIN_TLS_KEY_FILE"
	caFileEnv   = "LOGGER_PLUGIN_TLS_CA_FILE"
)

const (
	// leaveTime bounds how long calls under way may go on once the plugin is told to end, and
	// closeTime bounds its Close.
	leaveTime = time.Second
	closeTime = 5 * time.Second
)

// byHand runs a plugin that no host started: it prints how to start it, or serves at the address
// that its environment names. It returns the process's exit code.
func (p *served) byHand(lookup func(string) string, out io.Writer) int {
	address := lookup(listenEnv)
	if address == "" {
		_, _ = fmt.Fprintf(out, "This is the %s plugin %q of logger. The logger starts it; by itself it does nothing.\n"+
			"To check that it keeps the contract:\n  logger plugins check %s\n"+
			"To have it serve by itself, for a debugger or for a logger elsewhere:\n  %s=unix:///tmp/plugin.sock %[3]s\n",
			p.kind, p.info.Name, self(), listenEnv)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := p.listen(ctx, address, lookup, out); err != nil {
		_, _ = fmt.Fprintln(out, OneLine(err.Error()))
		return 1
	}
	return 0
}

// self returns the path by which this program can be run again from where it was run.
func self() string {
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return os.Args[0]
	}
	path, err := os.Executable()
	if err != nil {
		return "./" + os.Args[0]
	}
	return path
}

// listen serves the plugin at the address until ctx ends, then closes it. Any number of hosts
// may be connected: none of them ends it.
func (p *served) listen(ctx context.Context, address string, lookup func(string) string, out io.Writer) error {
	creds, err := serverCredentials(lookup)
	if err != nil {
		return err
	}
	listener, err := listenAt(ctx, address, creds != nil)
	if err != nil {
		return err
	}
	p.share(lookup(stateDirEnv))
	opts := p.options()
	if creds != nil {
		opts = append(opts, grpc.Creds(creds))
	}
	server := grpc.NewServer(opts...)
	p.register(server)
	alive := health.NewServer()
	healthpb.RegisterHealthServer(server, alive)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	_, _ = fmt.Fprintln(out, p.reattach(listener.Addr()))
	p.logger.Info("serving", "address", listener.Addr().String(), "tls", creds != nil)
	select {
	case err := <-ended:
		return fmt.Errorf("serve at %s: %w", address, err)
	case <-ctx.Done():
	}
	alive.Shutdown()
	// Followers and aggregators never end by themselves.
	hurry := time.AfterFunc(leaveTime, server.Stop)
	server.GracefulStop()
	hurry.Stop()
	if err := <-ended; err != nil {
		p.logger.Warn("serve", "error", err)
	}
	closing, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return p.close(closing)
}

// reattach returns the line that makes a host on this machine attach to this process.
func (p *served) reattach(addr net.Addr) string {
	type address struct{ Network, String string }
	type process struct {
		Protocol        string
		ProtocolVersion int
		Pid             int
		Test            bool
		Addr            address
	}
	b, _ := json.Marshal(map[string]process{p.kind.String() + "-" + p.info.Name: {
		Protocol: "grpc", ProtocolVersion: ProtocolVersion, Pid: os.Getpid(), Test: true,
		Addr: address{addr.Network(), addr.String()},
	}})
	return "LOGGER_PLUGIN_REATTACH='" + string(b) + "'"
}

// listenAt listens at unix:///PATH or tcp://HOST:PORT. A plugin that others can reach over the
// network is secured by TLS, or it does not listen.
func listenAt(ctx context.Context, address string, secured bool) (net.Listener, error) {
	refuse := func(why string) error {
		return Refusef("%s=%.200q: %s: want unix:///PATH or tcp://HOST:PORT", listenEnv, address, why)
	}
	network, at, _ := strings.Cut(address, "://")
	switch network {
	case "unix":
		if !filepath.IsAbs(at) {
			return nil, refuse("no absolute path")
		}
		if err := removeDeadSocket(ctx, at); err != nil {
			return nil, fmt.Errorf("%s=%.200q: %w", listenEnv, address, err)
		}
	case "tcp":
		host, _, err := net.SplitHostPort(at)
		if err != nil {
			return nil, refuse(err.Error())
		}
		if !secured && host != "localhost" && !net.ParseIP(host).IsLoopback() {
			return nil, Refusef("%s=%.200q: others can reach this address: want mutual TLS (%s, %s and %s), or a loopback address",
				listenEnv, address, certFileEnv, keyFileEnv, caFileEnv)
		}
	default:
		return nil, refuse("no such scheme")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, network, at)
	if err != nil {
		return nil, fmt.Errorf("%s=%.200q: %w", listenEnv, address, err)
	}
	return listener, nil
}

// removeDeadSocket removes the socket that a killed process left behind. It removes nothing
// else: a socket on which somebody listens is in use.
func removeDeadSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil // listening tells what is wrong
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("another process listens there: %w", ErrInvalid)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return err
}

// serverCredentials returns the credentials in the files that the environment names, nil if it
// names none. The files are read anew for each connection, so that certificates can be exchanged.
func serverCredentials(lookup func(string) string) (credentials.TransportCredentials, error) {
	names := []string{certFileEnv, keyFileEnv, caFileEnv}
	missing := slices.IndexFunc(names, func(name string) bool { return lookup(name) == "" })
	if missing < 0 {
		load := func() (*tls.Config, error) {
			return serverTLS(lookup(certFileEnv), lookup(keyFileEnv), lookup(caFileEnv))
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		return credentials.NewTLS(&tls.Config{
			MinVersion:         tls.VersionTLS12,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return load() },
		}), nil
	}
	if given := cmp.Or(lookup(certFileEnv), lookup(keyFileEnv), lookup(caFileEnv)); given != "" {
		return nil, Refusef("%s is not set: want %s, all three, or none", names[missing], strings.Join(names, ", "))
	}
	return nil, nil
}

func serverTLS(certFile, keyFile, caFile string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, Refusef("%s=%.200q, %s=%.200q: want a certificate and its key in PEM: %v", certFileEnv, certFile, keyFileEnv, keyFile, err)
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, Refusef("%s=%.200q: %v", caFileEnv, caFile, err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(pem) {
		return nil, Refusef("%s=%.200q: want certificates in PEM: it has none", caFileEnv, caFile)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
		Certificates: []tls.Certificate{cert}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}

// endOnSignal ends the process in order on SIGINT and SIGTERM. It is for a plugin that was
// started with the handshake's cookie and without a lifeline: by a person.
func (p *served) endOnSignal(logger hclog.Logger) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	go func() { // ends the process
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		if err := p.close(ctx); err != nil {
			logger.Warn("close", "error", err)
		}
		os.Exit(0)
	}()
}
