package sdk

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/deis/logger/sdk/pluginpb"
)

// ServeStorage runs a storage plugin: it is the whole main function. It returns when the host has
// ended the plugin. Open makes the storage from its settings; its ctx is for opening alone. If the
// backend cannot be reached, open succeeds and Check reports it.
//
// A process that no host started prints on stderr how to start it, and exits. If
// LOGGER_PLUGIN_LISTEN is unix:///PATH or tcp://HOST:PORT, it serves any number of hosts there by
// plain gRPC instead, until SIGINT or SIGTERM. An address that is not loopback needs mutual TLS:
// LOGGER_PLUGIN_TLS_CERT_FILE, LOGGER_PLUGIN_TLS_KEY_FILE and LOGGER_PLUGIN_TLS_CA_FILE, which has
// the authority of the hosts' certificates. LOGGER_PLUGIN_STATE_DIR is then [Host.StateDir].
func ServeStorage[S any](info Info, open func(ctx context.Context, settings S, host Host) (Storage, error)) {
	serve(StorageKind, info, open, func(s *grpc.Server, impl *implementation[Storage]) { registerStorage(s, impl) })
}

// ServeAggregator runs an aggregator plugin: it is the whole main function; see [ServeStorage].
func ServeAggregator[S any](info Info, open func(ctx context.Context, settings S, host Host) (Aggregator, error)) {
	serve(AggregatorKind, info, open, func(s *grpc.Server, impl *implementation[Aggregator]) {
		pluginpb.RegisterAggregatorServiceServer(s, &aggregatorServer{impl: impl})
	})
}

// newLogger returns a logger whose JSON lines, which the host reads, go to the process's real
// stderr: go-plugin replaces os.Stderr later.
func newLogger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: os.Stderr, JSONFormat: true})
}

// served holds a plugin of either kind, ready to be served.
type served struct {
	kind     Kind
	info     Info
	logger   hclog.Logger
	register func(*grpc.Server)
	// told says whether a host has shut the plugin down.
	told func() bool
	// share makes the plugin one that several hosts use, with a state folder of its own.
	share func(stateDir string)
	close func(context.Context) error
}

// newServed makes a plugin ready to be served. An error is a mistake in the declaration of its
// settings.
func newServed[S, T any](
	kind Kind, info Info, logger hclog.Logger, open func(context.Context, S, Host) (T, error),
	register func(*grpc.Server, *implementation[T]),
) (*served, error) {
	impl := &implementation[T]{}
	base, err := newPluginServer(kind, info, impl, logger, open)
	if err != nil {
		return nil, err
	}
	return &served{
		kind: kind, info: info, logger: logger, told: base.wasShutDown, share: base.share, close: impl.close,
		register: func(s *grpc.Server) {
			pluginpb.RegisterPluginServiceServer(s, base)
			register(s, impl)
		},
	}, nil
}

func serve[S, T any](
	kind Kind, info Info, open func(context.Context, S, Host) (T, error), register func(*grpc.Server, *implementation[T]),
) {
	p, err := newServed(kind, info, newLogger(), open, register)
	if err != nil {
		fmt.Fprintln(os.Stderr, "this plugin is broken:", err)
		os.Exit(1)
	}
	if cookie := Handshake(); os.Getenv(cookie.MagicCookieKey) != cookie.MagicCookieValue {
		os.Exit(p.byHand(os.Getenv, os.Stderr))
	}
	if watchLifeline(p.logger, p.told) {
		// A terminal's Ctrl-C and the end of a session are the host's to act on.
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	} else {
		p.endOnSignal(p.logger)
	}
	restore := guardStdout()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  Handshake(),
		VersionedPlugins: versioned(&servedPlugin{register: p.register, started: restore}),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, p.options()...)...)
		},
		// go-plugin's own remarks are of no use to an operator.
		Logger: hclog.NewNullLogger(),
	})
}

// options returns the options of every gRPC server of the plugin.
func (p *served) options() []grpc.ServerOption {
	return append(ServerOptions(),
		grpc.ChainUnaryInterceptor(recoverUnary(p.logger)),
		grpc.ChainStreamInterceptor(recoverStream(p.logger)))
}

// versioned offers the plugin under every version of the contract. There is one version so far. A
// second would come with services of its own.
func versioned(p plugin.Plugin) map[int]plugin.PluginSet {
	sets := map[int]plugin.PluginSet{}
	for _, v := range Protocols() {
		sets[v] = plugin.PluginSet{"logger": p}
	}
	return sets
}

// RegisterStorage serves an opened storage on a gRPC server of the caller's, with
// neither handshake nor PluginService. It is for tests and for storages that are
// reached over a plain address.
func RegisterStorage(s grpc.ServiceRegistrar, storage Storage) {
	registerStorage(s, &implementation[Storage]{value: storage, opened: true})
}

// RegisterAggregator does what [RegisterStorage] does, for an aggregator.
func RegisterAggregator(s grpc.ServiceRegistrar, aggregator Aggregator) {
	pluginpb.RegisterAggregatorServiceServer(s, &aggregatorServer{impl: &implementation[Aggregator]{value: aggregator, opened: true}})
}

// servedPlugin registers our services on go-plugin's server. What go-plugin calls
// a plugin is here just the connection.
type servedPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	register func(*grpc.Server)
	started  func()
}

func (p *servedPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	p.register(s)
	p.started() // go-plugin prints the handshake next
	return nil
}

func (p *servedPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("a plugin does not dispense clients: %w", ErrUnsupported)
}

// guardStdout sends what is printed to stdout before the handshake to stderr: the
// host takes the first line on stdout for the handshake. The returned function
// gives stdout back.
func guardStdout() (restore func()) {
	stdout := os.Stdout
	os.Stdout = os.Stderr
	return func() { os.Stdout = stdout }
}

// watchLifeline ends the process when the host is gone: nothing else tells a plugin, and it would
// live on for ever. If the host had told the plugin to shut down, that end is not worth a line in
// the log. It returns false when there is no lifeline: a person started the plugin, or a host of
// another kind.
func watchLifeline(logger hclog.Logger, told func() bool) bool {
	fd, err := strconv.ParseUint(os.Getenv(LifelineEnv), 10, 31)
	if err != nil {
		return false
	}
	syscall.CloseOnExec(int(fd)) // a grandchild must not inherit it
	pipe := os.NewFile(uintptr(fd), "lifeline")
	go func() { // ends the process
		_, _ = io.Copy(io.Discard, pipe)
		if !told() {
			logger.Warn("the host is gone: exiting")
		}
		os.Exit(0)
	}()
	return true
}

func recoverUnary(logger hclog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
		defer recovered(logger, info.FullMethod, &err)
		return handler(ctx, req)
	}
}

func recoverStream(logger hclog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
		defer recovered(logger, info.FullMethod, &err)
		return handler(srv, stream)
	}
}

// recovered turns a panic of a handler into an error of that call alone.
func recovered(logger hclog.Logger, method string, err *error) {
	if p := recover(); p != nil {
		logger.Error("panic in a call", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = toStatus(fmt.Errorf("%s: %v: %w", method, p, ErrPanic))
	}
}
