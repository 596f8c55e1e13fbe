package plugin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/deis/logger/sdk"
)

// process runs a plugin's executable once. It has its own process group, its own pipes, and a
// lifeline: when that closes, the plugin knows that the host is gone. It implements go-plugin's
// runner, so that go-plugin never holds anything that could hang.
type process struct {
	cmd  *exec.Cmd
	logs *logRelay
	// started, if set, gets the process id as soon as there is one. If it fails, the start does.
	started func(pid int) error
	// file, if set, is run instead of the file at the path.
	file   *os.File
	family family

	mu     sync.Mutex
	pid    int    // 0 until started
	killed bool   // by us or go-plugin; a kill before the start counts too
	spoke  []byte // the handshake, once it came
	stray  string // what it printed on stdout before that, the first line

	stdout, stderr *os.File // our read ends
	lifeline       *os.File // our write end

	handshake  *io.PipeReader // the first line of stdout, for go-plugin
	handshakeW *io.PipeWriter

	readers sync.WaitGroup // of the pipes
	exited  chan struct{}  // closed when the process is reaped and its pipes are done
	exitErr error          // set before exited closes
	alone   chan struct{}  // closed when its family is gone too
}

var _ runner.Runner = (*process)(nil)

// drainTime bounds how long the pipes may still deliver after the process is gone: a grandchild
// that left the group can hold them open for ever.
const drainTime = 200 * time.Millisecond

// markEnv names a variable whose value is different for each process, so that what the process
// started is found.
const markEnv = "PLUGIN_INSTANCE"

// newProcess prepares the run of cmd, of which only the path and the environment count. No other
// process may have the same mark.
func newProcess(cmd *exec.Cmd, logs *logRelay, mark string) *process {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdin = nil // the null device; go-plugin would have it inherit the host's
	p := &process{cmd: cmd, logs: logs, family: family{mark: markEnv + "=" + mark}, exited: make(chan struct{}), alone: make(chan struct{})}
	p.handshake, p.handshakeW = io.Pipe()
	return p
}

// Start implements [runner.Runner].
func (p *process) Start(context.Context) (err error) {
	pipe := func() (r, w *os.File) {
		if err != nil {
			return nil, nil
		}
		r, w, err = os.Pipe()
		return r, w
	}
	stdout, stdoutW := pipe()
	stderr, stderrW := pipe()
	lifelineR, lifeline := pipe()
	theirs := []*os.File{stdoutW, stderrW, lifelineR, p.file}
	defer func() {
		for _, f := range theirs {
			_ = f.Close() // a nil file answers an error, which is as good
		}
		if err != nil {
			for _, f := range []*os.File{stdout, stderr, lifeline} {
				_ = f.Close()
			}
			p.exitErr = err
			_ = p.handshakeW.CloseWithError(err)
			close(p.exited)
			close(p.alone)
		}
	}()
	if err != nil {
		return fmt.Errorf("pipes for %s: %w", p.cmd.Args[0], err)
	}
	p.cmd.Stdout, p.cmd.Stderr = stdoutW, stderrW
	p.cmd.ExtraFiles = []*os.File{lifelineR} // becomes descriptor 3
	if p.file != nil {
		p.cmd.ExtraFiles = append(p.cmd.ExtraFiles, p.file)
		p.cmd.Path = "/proc/self/fd/4"
	}
	p.cmd.Env = append(p.cmd.Env, sdk.LifelineEnv+"=3", p.family.mark)
	if err = p.spawn(); err != nil {
		return fmt.Errorf("start %s: %w", p.cmd.Args[0], err)
	}
	limited := error(nil)
	if p.started != nil {
		limited = p.started(p.id())
	}
	p.stdout, p.stderr, p.lifeline = stdout, stderr, lifeline
	p.readers.Go(p.readStdout)
	p.readers.Go(func() { p.logs.relay(p.stderr) })
	go p.reap() // ends soon after the process
	if limited != nil {
		p.killGroup()
	}
	return limited
}

func (p *process) spawn() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed {
		return context.Canceled
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.pid = p.cmd.Process.Pid
	return nil
}

// id returns the process id, 0 before the start.
func (p *process) id() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// handshakeLine is how go-plugin's handshake begins: CORE|PROTOCOL|NETWORK|ADDRESS.
var handshakeLine = regexp.MustCompile(`^[0-9]+\|[0-9]+\|[a-z]+\|`)

// readStdout gives go-plugin the first line that is a handshake. What a clumsy
// plugin prints before or after it is logged, so that it neither spoils the
// handshake nor blocks on a full pipe.
func (p *process) readStdout() {
	r := bufio.NewReaderSize(p.stdout, relayBuffer)
	p.logs.relayUntil(r, func(line []byte) bool {
		if !p.heard(line) {
			return false
		}
		_, _ = p.handshakeW.Write(append(bytes.Clone(line), '\n'))
		return true
	})
	_ = p.handshakeW.Close()
	p.logs.relay(r)
}

// heard keeps a line of stdout, and reports whether it is the handshake.
func (p *process) heard(line []byte) (handshake bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	handshake = handshakeLine.Match(line)
	switch {
	case handshake:
		p.spoke = bytes.Clone(line)
	case p.stray == "":
		p.stray = printable(string(line[:min(len(line), longestReason)]))
	}
	return handshake
}

// protocol returns the version of the contract that the handshake named, if it came.
func (p *process) protocol() (version int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	parts := bytes.SplitN(p.spoke, []byte("|"), 3)
	if len(parts) < 3 {
		return 0, false
	}
	version, err := strconv.Atoi(string(parts[1]))
	return version, err == nil
}

// reap waits for the process, then ends whatever it left.
func (p *process) reap() {
	err := p.cmd.Wait() // our pipes are files, so this waits for the process alone
	p.signalGroup()
	go func() { // it looks at every process of the system, which may take a while
		defer close(p.alone)
		p.family.end()
	}()
	drained := make(chan struct{})
	go func() {
		p.readers.Wait()
		close(drained)
	}()
	t := time.NewTimer(drainTime)
	defer t.Stop()
	select {
	case <-drained:
	case <-t.C:
	}
	for _, f := range []*os.File{p.stdout, p.stderr, p.lifeline} {
		_ = f.Close() // unblocks the readers
	}
	_ = p.handshakeW.Close()
	<-drained
	p.exitErr = err
	close(p.exited)
}

// killGroup ends the process and everything in its group; reap does the rest.
func (p *process) killGroup() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	p.family.look(p.id())
	p.signalGroup()
}

func (p *process) signalGroup() {
	if pid := p.id(); pid != 0 {
		_ = syscall.Kill(-pid, syscall.SIGKILL) // ESRCH: all gone already
	}
}

// diedByItself reports whether the process is gone, and not by our kill. A kill that came too late
// to matter does not count, since the process was about to exit anyway.
func (p *process) diedByItself() bool {
	select {
	case <-p.exited:
	default:
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	exit := (*exec.ExitError)(nil)
	status, ok := syscall.WaitStatus(0), false
	if errors.As(p.exitErr, &exit) {
		status, ok = exit.Sys().(syscall.WaitStatus)
	}
	byKill := ok && status.Signaled() && status.Signal() == syscall.SIGKILL
	return p.pid != 0 && (!p.killed || !byKill)
}

// end lets go of the process: it closes the lifeline, at which a plugin exits by itself, and kills
// the group if that takes longer than patience. What the process started is gone, too, when end
// returns.
func (p *process) end(patience time.Duration) {
	if p.id() == 0 {
		return
	}
	defer func() { <-p.alone }()
	_ = p.lifeline.Close()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-p.exited:
		return
	case <-t.C:
	}
	p.killGroup()
	<-p.exited
}

// how says how the process ended, for a person.
func (p *process) how() string {
	how := "exited with status 0"
	if exit := (*exec.ExitError)(nil); errors.As(p.exitErr, &exit) {
		how = exit.String()
	} else if p.exitErr != nil {
		how = p.exitErr.Error()
	}
	if last := p.logs.last(); last != "" {
		how += "; its last line: " + last
	}
	return how
}

// Wait implements [runner.Runner].
func (p *process) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return p.exitErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill implements [runner.Runner]. It does not wait.
func (p *process) Kill(context.Context) error {
	p.killGroup()
	return nil
}

// Stdout implements [runner.Runner]: the handshake line alone.
func (p *process) Stdout() io.ReadCloser { return p.handshake }

// Stderr implements [runner.Runner]. It is empty: go-plugin panics on some log
// lines, so they never reach it.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(bytes.NewReader(nil)) }

// Diagnose implements [runner.Runner].
func (p *process) Diagnose(context.Context) string { return "" }

// Name implements [runner.Runner].
func (p *process) Name() string { return p.cmd.Path }

// ID implements [runner.Runner]: the process id.
func (p *process) ID() string {
	if pid := p.id(); pid != 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

// PluginToHost implements [runner.Runner].
func (p *process) PluginToHost(network, addr string) (hostNetwork, hostAddr string, err error) {
	return network, addr, nil
}

// HostToPlugin implements [runner.Runner].
func (p *process) HostToPlugin(network, addr string) (pluginNetwork, pluginAddr string, err error) {
	return network, addr, nil
}
