package plugintest

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
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/deis/logger/sdk"
)

// process runs a plugin's executable as go-plugin's runner, with a process group of its own, pipes
// that nobody else can hold open, and a lifeline.
type process struct {
	cmd      *exec.Cmd
	stdout   *os.File // our read ends
	stderr   *os.File
	lifeline *os.File // our write end

	handshake  *io.PipeReader // the first line of stdout that is one, for go-plugin
	handshakeW *io.PipeWriter

	exited chan struct{} // closed when the process is reaped
	silent chan struct{} // closed when all that it said is read
	err    error         // set before exited closes

	mu   sync.Mutex
	last []string // the newest lines on stderr, and on stdout before the handshake
}

// keptLines is how many of the newest lines of stderr a failure shows.
const keptLines = 10

func newProcess(path string) *process {
	cmd := exec.Command(path) //nolint:noctx // its end is ours: see end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{cmd: cmd, exited: make(chan struct{}), silent: make(chan struct{})}
	p.handshake, p.handshakeW = io.Pipe()
	return p
}

// Start implements go-plugin's Runner.
func (p *process) Start(context.Context) (err error) {
	pipe := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	var stdout, stderr, lifeline *os.File
	p.stdout, stdout = pipe()
	p.stderr, stderr = pipe()
	lifeline, p.lifeline = pipe()
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = stdout, stderr, []*os.File{lifeline}
	p.cmd.Env = append(p.cmd.Env, sdk.LifelineEnv+"=3")
	if err == nil {
		err = p.cmd.Start()
	}
	for _, f := range []*os.File{stdout, stderr, lifeline} {
		_ = f.Close() // a nil file answers an error, which is as good
	}
	if err != nil {
		p.err = err
		close(p.exited)
		p.closePipes()
		_ = p.handshakeW.Close()
		return fmt.Errorf("start %s: %w", p.cmd.Path, err)
	}
	go p.keepStderr() // ends with the pipe, which closes below
	go p.readStdout() // the same
	go func() {
		p.err = p.cmd.Wait() // our pipes are files, so this waits for the process alone
		p.signalGroup()
		close(p.exited)
	}()
	return nil
}

func (p *process) closePipes() {
	for _, f := range []*os.File{p.stdout, p.stderr, p.lifeline} {
		_ = f.Close()
	}
}

func (p *process) keepStderr() {
	defer close(p.silent)
	p.keepLines(bufio.NewReaderSize(p.stderr, 16<<10), nil)
}

// keepLines keeps the lines up to the end, or up to the first for which last returns true.
func (p *process) keepLines(r *bufio.Reader, last func(line []byte) bool) {
	for {
		line, err := r.ReadSlice('\n')
		if last != nil && last(line) {
			return
		}
		if text := strings.TrimSpace(string(line)); text != "" {
			p.mu.Lock()
			p.last = append(p.last, text)
			p.last = p.last[max(0, len(p.last)-keptLines):]
			p.mu.Unlock()
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// handshakeLine is how go-plugin's handshake begins: CORE|PROTOCOL|NETWORK|ADDRESS.
var handshakeLine = regexp.MustCompile(`^[0-9]+\|[0-9]+\|[a-z]+\|`)

// readStdout gives go-plugin the handshake. Like a host, it skips what comes before.
func (p *process) readStdout() {
	r := bufio.NewReaderSize(p.stdout, 16<<10)
	p.keepLines(r, func(line []byte) bool {
		if !handshakeLine.Match(line) {
			return false
		}
		_, _ = p.handshakeW.Write(line)
		return true
	})
	_ = p.handshakeW.Close()
	_, _ = io.Copy(io.Discard, r) // a full pipe would stop the process
}

// lastWords gives a process that seems to end a moment to do so, and returns its lastLines.
func (p *process) lastWords() string {
	if p.within(time.Second) && p.cmd.Process != nil {
		select {
		case <-p.silent:
		case <-time.After(time.Second): // a child of it may hold the pipe
		}
	}
	return p.lastLines()
}

// lastLines returns what the process said last.
func (p *process) lastLines() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.last) == 0 {
		return "it printed nothing"
	}
	return "its last lines:\n" + strings.Join(p.last, "\n")
}

func (p *process) signalGroup() {
	if p.cmd.Process != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // ESRCH: all gone already
	}
}

// within reports whether the process ends in that time.
func (p *process) within(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.exited:
		return true
	case <-t.C:
		return false
	}
}

// kill ends the process and its group at once.
func (p *process) kill() {
	p.signalGroup()
	if p.cmd.Process != nil {
		<-p.exited
	}
	p.closePipes()
}

// Wait implements go-plugin's Runner.
func (p *process) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill implements go-plugin's Runner.
func (p *process) Kill(context.Context) error {
	p.signalGroup()
	return nil
}

// Stdout implements go-plugin's Runner: the handshake line alone.
func (p *process) Stdout() io.ReadCloser { return p.handshake }

// Stderr implements go-plugin's Runner. It is empty: go-plugin panics on some lines.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(bytes.NewReader(nil)) }

// Diagnose implements go-plugin's Runner.
func (p *process) Diagnose(context.Context) string { return "" }

// Name implements go-plugin's Runner.
func (p *process) Name() string { return p.cmd.Path }

// ID implements go-plugin's Runner.
func (p *process) ID() string {
	if p.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(p.cmd.Process.Pid)
}

// PluginToHost implements go-plugin's Runner.
func (p *process) PluginToHost(network, addr string) (hostNetwork, hostAddr string, err error) {
	return network, addr, nil
}

// HostToPlugin implements go-plugin's Runner.
func (p *process) HostToPlugin(network, addr string) (pluginNetwork, pluginAddr string, err error) {
	return network, addr, nil
}
