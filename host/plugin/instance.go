package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/deis/logger/sdk"
)

// Instance is one running plugin process, configured and connected.
type Instance struct {
	// Conn carries the plugin's calls. It fails once the process is gone.
	Conn *grpc.ClientConn
	// Description is what the plugin says of itself.
	Description sdk.Description
	// Capabilities are its optional calls.
	Capabilities sdk.Capabilities
	// Protocol is the version of the contract that it speaks with this host.
	Protocol int
	// PID is its process id.
	PID int
	// Settings are fingerprints of what it was given. Nobody changes them.
	Settings map[string]string

	level   hclog.Level // what it was told to log
	plugin  *sdk.PluginClient
	client  *plugin.Client
	process *process
	dir     string // of its socket, and of its private copy
	copied  string // the copy's folder when that is elsewhere
}

// Gone is closed when the process is gone.
func (i *Instance) Gone() <-chan struct{} { return i.process.exited }

// refusedError is a plugin that will be no better next time: its settings are refused.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// ErrNotStarted is the error of a plugin of which no process came to be: there is no room
// for its private copy, say, or it cannot be executed. It tells of this place more than
// of the plugin.
var ErrNotStarted = errors.New("the plugin's process was not started")

// notStartedError says in its own words why there is no process.
type notStartedError struct{ err error }

func (e *notStartedError) Error() string   { return e.err.Error() }
func (e *notStartedError) Unwrap() []error { return []error{ErrNotStarted, e.err} }

// launch starts the executable and brings it to where it can be called. Validated is called
// between the check of the settings and their use.
func launch(ctx context.Context, o *Options, validated func(context.Context, error)) (*Instance, error) {
	return start(ctx, o, func(ctx context.Context, inst *Instance, values map[string]string) error {
		validated(ctx, nil)
		return inst.configure(ctx, o, sdk.Configuration{Values: values})
	})
}

// look starts the executable for a look at it. Only one that is inspectable is configured.
func look(ctx context.Context, o *Options) (*Instance, error) {
	return start(ctx, o, func(ctx context.Context, inst *Instance, values map[string]string) error {
		if !inst.Description.Inspectable {
			return nil
		}
		return inst.configure(ctx, o, sdk.Configuration{Values: values, Inspect: true})
	})
}

// start starts the executable and opens it with its settings. Whatever was opened is closed
// again when it fails. Every attempt has its own everything: go-plugin's clients cannot be
// started twice.
func start(
	ctx context.Context, o *Options, open func(ctx context.Context, inst *Instance, values map[string]string) error,
) (_ *Instance, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.StartTimeout)
	defer cancel()
	inst, err := prepare(o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = inst.explain(err)
			inst.end(0)
		}
	}()
	if err := inst.identify(ctx, o); err != nil {
		return nil, err
	}
	if err := o.Survey.wait(ctx); err != nil {
		return nil, err
	}
	values, err := inst.values(o)
	if err != nil {
		return nil, err
	}
	return inst, open(ctx, inst, values)
}

// Describe launches the executable to ask what it is, and ends it again: it is not
// configured, and so opens nothing. It takes no longer than the options' StartTimeout
// and what ends a process.
func Describe(ctx context.Context, o Options) (d sdk.Description, protocol int, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.StartTimeout)
	defer cancel()
	inst, err := prepare(&o)
	if err != nil {
		return d, 0, err
	}
	if err := inst.identify(ctx, &o); err != nil {
		err = inst.explain(err)
		inst.end(0)
		return inst.Description, inst.Protocol, err
	}
	inst.end(o.StopTimeout)
	return inst.Description, inst.Protocol, nil
}

// prepare makes what one attempt needs; nothing runs yet.
func prepare(o *Options) (*Instance, error) {
	if o.Folders != nil {
		if err := o.Folders(); err != nil {
			return nil, &notStartedError{fmt.Errorf("the run folder is gone and cannot be made again: %w", err)}
		}
	}
	dir, err := os.MkdirTemp(o.RunDir, "p")
	if err != nil {
		return nil, &notStartedError{fmt.Errorf("folder for the plugin's socket: %w", err)}
	}
	program, err := o.Trust.admit(o.Executable, dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		if !errors.As(err, new(*refusedError)) {
			err = &notStartedError{err}
		}
		return nil, err
	}
	cmd := exec.Command(program.path) //nolint:noctx // its end is ours: see process.end
	cmd.Args[0] = o.Executable.Path
	logs := newLogRelay(o.Logger)
	inst := &Instance{dir: dir, process: newProcess(cmd, logs, dir)}
	if !strings.HasPrefix(program.folder, dir) {
		inst.copied = program.folder
	}
	inst.process.file, inst.process.started = program.file, o.Limits.limitFiles
	inst.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		VersionedPlugins: offered(o.Protocols),
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			cmd.Env = append(o.Limits.environment(environment()), spec.Env...)
			return inst.process, nil
		},
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,                         // otherwise the host's variables override ours
		StartTimeout:     o.StartTimeout + time.Second, // the context ends first, with an error that says more
		GRPCDialOptions:  sdk.DialOptions(),
		SyncStdout:       &lineWriter{logs: logs},
		SyncStderr:       &lineWriter{logs: logs},
		Logger:           hclog.NewNullLogger(), // its remarks say less than ours, and its parser panics
	})
	return inst, nil
}

// offered are the versions of the contract that a plugin may choose from.
func offered(protocols []int) map[int]plugin.PluginSet {
	sets := map[int]plugin.PluginSet{}
	for _, v := range protocols {
		sets[v] = plugin.PluginSet{"logger": connection{}}
	}
	return sets
}

// otherProtocol makes an error that says what to do of one of a plugin that speaks
// none of the versions that this host does. It told its own in its handshake.
func (i *Instance) otherProtocol(err error, ours []int) error {
	theirs, ok := i.process.protocol()
	if !ok || len(ours) == 0 || slices.Contains(ours, theirs) {
		return err
	}
	advice := "install a newer version of the plugin"
	if theirs > slices.Max(ours) {
		advice = "install a newer logger, or an older version of the plugin"
	}
	return &protocolError{fmt.Sprintf("the plugin speaks version %d of the plugin protocol and this logger %s: %s",
		theirs, versions(ours), advice)}
}

// protocolError is a plugin that is too old or too new for this host.
type protocolError struct{ text string }

func (e *protocolError) Error() string { return e.text }

// versions lists version numbers for a person.
func versions(numbers []int) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, " and ")
}

// removeCopied removes a private copy that is not in the run folder, where what a
// killed host leaves behind is found.
func (i *Instance) removeCopied() {
	if i.copied != "" {
		_ = os.RemoveAll(i.copied)
	}
}

// connect starts the process and waits for its handshake.
func (i *Instance) connect(ctx context.Context) error {
	type result struct {
		conn *grpc.ClientConn
		err  error
	}
	done := make(chan result, 1)
	go func() { // ends at go-plugin's own StartTimeout at the latest
		conn, err := dial(i.client)
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		i.Conn = r.conn
		return r.err
	case <-ctx.Done():
		// Start holds go-plugin's lock until the process is gone or its time is up.
		i.process.killGroup()
		r := <-done
		if r.conn != nil {
			_ = r.conn.Close()
		}
		return fmt.Errorf("no handshake: %w", ctx.Err())
	}
}

// dial starts the client. It recovers, since some handshakes make go-plugin panic.
func dial(client *plugin.Client) (conn *grpc.ClientConn, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handshake made go-plugin panic: %v: %w", p, sdk.ErrUnavailable)
		}
	}()
	protocol, err := client.Client()
	if err != nil {
		return nil, err
	}
	grpcClient, ok := protocol.(*plugin.GRPCClient)
	if !ok {
		return nil, fmt.Errorf("the plugin speaks %T instead of gRPC: %w", protocol, sdk.ErrUnavailable)
	}
	return grpcClient.Conn, nil
}

// identify starts the process and asks it what it is.
func (i *Instance) identify(ctx context.Context, o *Options) (err error) {
	if err := i.connect(ctx); err != nil {
		return i.otherProtocol(err, o.Protocols)
	}
	i.Protocol = i.client.NegotiatedVersion()
	i.removeCopied() // nothing finds it again if this host is killed
	i.PID = i.process.id()
	if err := o.Limits.limitFiles(i.PID); err != nil {
		return err
	}
	if o.Background {
		giveWay(i.PID)
	}
	i.plugin = sdk.NewPluginClient(i.Conn)
	i.Description, err = i.plugin.Describe(ctx)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	hideSecrets(i.Description.Settings)
	exe, d := &o.Executable, i.Description
	exe.Kind, exe.Name = cmp.Or(exe.Kind, d.Kind), cmp.Or(exe.Name, d.Name)
	if d.Kind != exe.Kind || d.Name != exe.Name {
		return fmt.Errorf("%s is %s plugin %q, not %s plugin %q: %w", filepath.Base(exe.Path),
			d.Kind, d.Name, exe.Kind, exe.Name, sdk.ErrUnavailable)
	}
	return nil
}

// values are the settings that the plugin declares, checked before it gets them.
func (i *Instance) values(o *Options) (map[string]string, error) {
	values := make(map[string]string, len(i.Description.Settings))
	for _, s := range i.Description.Settings {
		if err := o.Survey.Refuse(s, o.Executable); err != nil {
			return nil, &refusedError{err}
		}
		value, err := Value(s, o.Lookup)
		if err != nil {
			return nil, &refusedError{err}
		}
		values[s.Env] = value
	}
	i.Settings = fingerprints(i.Description.Settings, values)
	return values, nil
}

// configure hands over the settings, which opens the implementation.
func (i *Instance) configure(ctx context.Context, o *Options, conf sdk.Configuration) (err error) {
	if err := ctx.Err(); err != nil {
		return err // nothing is opened for a caller who is gone
	}
	i.level = o.Logger.GetLevel()
	conf.StateDir, conf.LogLevel = o.StateDir, i.level.String()
	i.Capabilities, err = i.plugin.Configure(ctx, conf)
	if errors.Is(err, sdk.ErrInvalid) {
		return &refusedError{err}
	}
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	return nil
}

// followLevel tells the plugin when the host's level of logging has changed, so that it
// sends what is wanted and no more.
func (i *Instance) followLevel(ctx context.Context, o *Options) {
	level := o.Logger.GetLevel()
	if level == i.level {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, o.CheckTimeout)
	defer cancel()
	if err := i.plugin.SetLogLevel(ctx, level.String()); err != nil {
		o.Logger.Warn("the plugin does not change what it logs", "level", level.String(), "error", err)
	}
	i.level = level // one that cannot is not asked again and again
}

// explain adds to the error of a failed start what the process has to say, in one
// line. A process that closed its pipes gets a moment to be reaped.
func (i *Instance) explain(err error) error {
	if errors.As(err, new(*refusedError)) || errors.As(err, new(*protocolError)) {
		return err
	}
	t := time.NewTimer(drainTime)
	defer t.Stop()
	select {
	case <-i.process.exited:
	case <-t.C:
	}
	if i.process.diedByItself() {
		return fmt.Errorf("the plugin ended before it was ready: %s", i.process.how())
	}
	line := strings.Join(strings.Fields(err.Error()), " ")
	if last := i.process.logs.last(); last != "" {
		line += "; its last line: " + last
	}
	if i.process.id() == 0 {
		return &notStartedError{errors.New(line)}
	}
	return errors.New(line)
}

// end finishes the process: an orderly Shutdown first if patience is positive.
func (i *Instance) end(patience time.Duration) {
	if i.plugin != nil && patience > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if i.plugin.Shutdown(ctx) != nil {
			patience = 0 // it had its time
		}
		cancel()
	}
	i.process.end(patience)
	_ = i.process.file.Close() // if it was never started
	i.process.logs.flush()
	// The process is gone, so this frees go-plugin's own goroutines at once. It
	// has no deadline of its own.
	freed := make(chan struct{})
	go func() {
		defer close(freed)
		i.client.Kill()
	}()
	t := time.NewTimer(killTimeout)
	defer t.Stop()
	select {
	case <-freed:
	case <-t.C:
	}
	if i.Conn != nil {
		_ = i.Conn.Close()
	}
	i.removeCopied()
	_ = os.RemoveAll(i.dir)
}

// killTimeout bounds go-plugin's clean-up.
const killTimeout = 2 * time.Second

// connection is all that we want of go-plugin's plugins: the gRPC connection.
type connection struct{ plugin.NetRPCUnsupportedPlugin }

func (connection) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return fmt.Errorf("a host serves no plugin: %w", sdk.ErrUnsupported)
}

func (connection) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}
