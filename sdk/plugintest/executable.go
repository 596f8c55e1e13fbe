package plugintest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/deis/logger/sdk"
)

// patience bounds the start of a plugin and each call that every plugin serves.
const patience = 15 * time.Second

// Plugin runs a plugin process.
type Plugin struct {
	// Conn is the connection to the plugin.
	Conn *grpc.ClientConn
	// Description is what the plugin says of itself, and Protocol the version of the contract that
	// was agreed on.
	Description sdk.Description
	Protocol    int
	// Calls makes the calls that every plugin serves.
	Calls *sdk.PluginClient

	process *process
	client  *plugin.Client
	dir     string // of its socket
}

// Launch starts the executable as a host does, with handshake and AutoMTLS, and asks it what it is.
// The plugin is not configured yet. The caller ends it with [Plugin.Close].
func Launch(ctx context.Context, path string) (_ *Plugin, err error) {
	dir, err := os.MkdirTemp("", "lp") // short, for the socket's path
	if err != nil {
		return nil, err
	}
	p := &Plugin{dir: dir, process: newProcess(path)}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w; %s", err, p.process.lastWords())
			p.Close()
		}
	}()
	versions := map[int]plugin.PluginSet{}
	for _, v := range sdk.Protocols() {
		versions[v] = plugin.PluginSet{"logger": connection{}}
	}
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		VersionedPlugins: versions,
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			p.process.cmd.Env = append(append(p.process.cmd.Env, environment()...), spec.Env...)
			return p.process, nil
		},
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true, // a plugin gets its settings over the connection, and no other
		StartTimeout:     patience,
		GRPCDialOptions:  sdk.DialOptions(),
		Logger:           hclog.NewNullLogger(),
	})
	if p.Conn, err = dial(p.client); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	p.Protocol = p.client.NegotiatedVersion()
	p.Calls = sdk.NewPluginClient(p.Conn)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if p.Description, err = p.Calls.Describe(ctx); err != nil {
		return nil, fmt.Errorf("describe: %w", err)
	}
	return p, nil
}

// environment returns the part of its own environment that a host lets a plugin see.
func environment() []string {
	var env []string
	for _, name := range sdk.Inherited() {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// dial connects. It recovers from panics: some handshakes make go-plugin panic.
func dial(client *plugin.Client) (conn *grpc.ClientConn, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it made go-plugin panic: %v: %w", p, sdk.ErrUnavailable)
		}
	}()
	protocol, err := client.Client()
	if err != nil {
		return nil, err
	}
	c, ok := protocol.(*plugin.GRPCClient)
	if !ok {
		return nil, fmt.Errorf("it speaks %T instead of gRPC: %w", protocol, sdk.ErrUnavailable)
	}
	return c.Conn, nil
}

// Configure checks the settings against what the plugin declares, fills in defaults and hands them
// over. A setting that the plugin does not declare is refused: it would have no effect.
func (p *Plugin) Configure(ctx context.Context, settings map[string]string, stateDir string) (sdk.Capabilities, error) {
	values := map[string]string{}
	for _, s := range p.Description.Settings {
		value, err := s.Value(func(env string) (string, bool) { v, ok := settings[env]; return v, ok })
		if err != nil {
			return sdk.Capabilities{}, err
		}
		values[s.Env] = value
	}
	for env := range settings {
		if _, ok := values[env]; !ok {
			return sdk.Capabilities{}, sdk.Refusef("setting %s is not one that the plugin declares", env)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	caps, err := p.Calls.Configure(ctx, sdk.Configuration{Values: values, StateDir: stateDir, LogLevel: "info"})
	if err != nil {
		return caps, fmt.Errorf("configure: %w; %s", err, p.process.lastLines())
	}
	return caps, nil
}

// Declares says whether the plugin takes a setting of that name.
func (p *Plugin) Declares(env string) bool {
	for _, s := range p.Description.Settings {
		if s.Env == env {
			return true
		}
	}
	return false
}

// Said returns the last lines that the process printed on stderr, for a failure.
func (p *Plugin) Said() string { return p.process.lastLines() }

// Kill ends the process without warning, as a crash does.
func (p *Plugin) Kill() {
	p.process.kill()
	p.free()
}

// Close ends the process as a host does: Shutdown, the end of the lifeline, and after a
// while SIGKILL. It may be called again.
func (p *Plugin) Close() {
	if p.Calls != nil && !p.process.within(0) {
		ctx, cancel := context.WithTimeout(context.Background(), closePatience)
		_ = p.Calls.Shutdown(ctx) // it ends in any case
		cancel()
		_ = p.process.lifeline.Close()
		p.process.within(closePatience)
	}
	p.Kill()
}

// closePatience bounds each step of an orderly end.
const closePatience = 2 * time.Second

// errStays is the error of a process that does not end when it should.
var errStays = errors.New("the process lives on")

// EndWithHost closes the lifeline, as the death of the host does, and waits for the
// process to end by itself.
func (p *Plugin) EndWithHost() error {
	_ = p.process.lifeline.Close()
	if !p.process.within(patience / 3) {
		return fmt.Errorf("%s after its lifeline (the pipe of %s) ended: %w", patience/3, sdk.LifelineEnv, errStays)
	}
	return nil
}

// free releases what the process left. The process is gone, so go-plugin's Kill returns.
func (p *Plugin) free() {
	if p.client != nil {
		p.client.Kill()
	}
	if p.Conn != nil {
		_ = p.Conn.Close()
	}
	_ = os.RemoveAll(p.dir)
}

// connection implements a go-plugin plugin that only hands out the gRPC connection.
type connection struct{ plugin.NetRPCUnsupportedPlugin }

func (connection) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return fmt.Errorf("a host serves no plugin: %w", sdk.ErrUnsupported)
}

func (connection) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}
