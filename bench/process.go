package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process holds a child, which is reaped as soon as it ends.
type process struct {
	cmd    *exec.Cmd
	tail   *tail
	exited chan struct{} // closed by the goroutine that waits for the child
	err    error         // how it ended; set once exited is closed
}

// launch starts a child. Unless the command has another stderr, its last output is kept to explain
// a failure. The kernel ends the child with the thread that started it, so a goroutine keeps its
// thread as long as the child lives.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, tail: &tail{}, exited: make(chan struct{})}
	if cmd.Stderr == nil {
		cmd.Stderr = p.tail
	}
	cmd.SysProcAttr = procAttr()
	started := make(chan error, 1)
	go func() { // ends with the child
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks the child to end, and kills it if it does not.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

// kill ends the child at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// ended returns an error once the child has ended.
func (p *process) ended() error {
	select {
	case <-p.exited:
		return fmt.Errorf("process ended: %v: %s", p.err, p.tail) //nolint:errorlint // nobody looks into it, and it may be nil
	default:
		return nil
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailBytes = 4 << 10

// Write implements [io.Writer].
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if over := t.buf.Len() - tailBytes; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
