package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/deis/logger/sdk"
)

// launched runs a plugin whose process is ours.
type launched struct {
	client  *plugin.Client
	process *process
	dir     string // of its socket, and of its private copy
	copied  string // the copy's folder when that is elsewhere
}

var _ life = (*launched)(nil)

// prepareLaunch makes what one launch needs; nothing runs yet.
func prepareLaunch(o *Options) (*launched, error) {
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
	l := &launched{dir: dir, process: newProcess(cmd, logs, dir)}
	if !strings.HasPrefix(program.folder, dir) {
		l.copied = program.folder
	}
	l.process.file, l.process.started = program.file, o.Limits.limitFiles
	l.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		VersionedPlugins: offered(o.Protocols),
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			cmd.Env = append(o.Limits.environment(environment()), spec.Env...)
			return l.process, nil
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
	return l, nil
}

// offered returns the versions of the contract that a plugin may choose from.
func offered(protocols []int) map[int]plugin.PluginSet {
	sets := map[int]plugin.PluginSet{}
	for _, v := range protocols {
		sets[v] = plugin.PluginSet{"logger": connection{}}
	}
	return sets
}

// otherProtocol returns an error that says what to do, if the plugin speaks none of the versions
// that this host does; else it returns err. The plugin told its version in its handshake.
func (l *launched) otherProtocol(err error, ours []int) error {
	theirs, ok := l.process.protocol()
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

// removeCopied removes a private copy that is outside the run folder. What a killed host leaves
// behind is found only in the run folder.
func (l *launched) removeCopied() {
	if l.copied != "" {
		_ = os.RemoveAll(l.copied)
	}
}

// connect implements [life]: it starts the process and waits for its handshake.
func (l *launched) connect(ctx context.Context, o *Options, inst *Instance) (err error) {
	if inst.Conn, err = l.shakeHands(ctx); err != nil {
		return l.otherProtocol(err, o.Protocols)
	}
	inst.Protocol = l.client.NegotiatedVersion()
	l.removeCopied() // nothing finds it again if this host is killed
	inst.PID = l.process.id()
	if err := o.Limits.limitFiles(inst.PID); err != nil {
		return err
	}
	if o.Background {
		giveWay(inst.PID)
	}
	return nil
}

func (l *launched) shakeHands(ctx context.Context) (*grpc.ClientConn, error) {
	type result struct {
		conn *grpc.ClientConn
		err  error
	}
	done := make(chan result, 1)
	go func() { // ends at go-plugin's own StartTimeout at the latest
		conn, err := dial(l.client)
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		return r.conn, r.err
	case <-ctx.Done():
		// Start holds go-plugin's lock until the process is gone or its time is up.
		l.process.killGroup()
		r := <-done
		if r.conn != nil {
			_ = r.conn.Close()
		}
		return nil, fmt.Errorf("no handshake: %w", ctx.Err())
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

func (l *launched) gone() <-chan struct{} { return l.process.exited }

func (l *launched) how() string {
	return fmt.Sprintf("process %d: %s", l.process.id(), l.process.how())
}

func (l *launched) patient() bool { return false }

// look implements [life]: it notes what the process has started, and ends one that takes more
// memory than it may.
func (l *launched) look(o *Options) error {
	l.process.family.look(l.process.id())
	return o.Limits.checkMemory(l.process.id())
}

// explain implements [life]. It adds to the error of a failed start what the process has to say, in
// one line. A process that closed its pipes gets a moment to be reaped.
func (l *launched) explain(err error) error {
	if errors.As(err, new(*refusedError)) || errors.As(err, new(*protocolError)) {
		return err
	}
	t := time.NewTimer(drainTime)
	defer t.Stop()
	select {
	case <-l.process.exited:
	case <-t.C:
	}
	if l.process.diedByItself() {
		return fmt.Errorf("the plugin ended before it was ready: %s", l.process.how())
	}
	line := strings.Join(strings.Fields(err.Error()), " ")
	if last := l.process.logs.last(); last != "" {
		line += "; its last line: " + last
	}
	if l.process.id() == 0 {
		return &notStartedError{errors.New(line)}
	}
	return errors.New(line)
}

// end implements [life]. It ends the process, after an orderly Shutdown if patience is positive.
func (l *launched) end(inst *Instance, patience time.Duration) {
	if inst.plugin != nil && patience > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if inst.plugin.Shutdown(ctx) != nil {
			patience = 0 // it had its time
		}
		cancel()
	}
	l.process.end(patience)
	_ = l.process.file.Close() // if it was never started
	l.process.logs.flush()
	// The process is gone, so this frees go-plugin's own goroutines at once. It
	// has no deadline of its own.
	freed := make(chan struct{})
	go func() {
		defer close(freed)
		l.client.Kill()
	}()
	t := time.NewTimer(killTimeout)
	defer t.Stop()
	select {
	case <-freed:
	case <-t.C:
	}
	if inst.Conn != nil {
		_ = inst.Conn.Close()
	}
	l.removeCopied()
	_ = os.RemoveAll(l.dir)
}

// killTimeout bounds go-plugin's clean-up.
const killTimeout = 2 * time.Second

// connection implements a go-plugin plugin that only hands out the gRPC connection. The host wants
// nothing else.
type connection struct{ plugin.NetRPCUnsupportedPlugin }

func (connection) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return fmt.Errorf("a host serves no plugin: %w", sdk.ErrUnsupported)
}

func (connection) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}
