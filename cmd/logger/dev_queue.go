package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// queueStopTime bounds how long the queue's program may take to end.
const queueStopTime = 10 * time.Second

// queue runs the process of an nsqd.
type queue struct {
	tcp, http string // its addresses
	cmd       *exec.Cmd
	stdin     io.Closer
	ended     chan struct{} // closed when the process has ended
	err       error         // how it ended
	stopping  sync.Once
}

// startQueue starts the program beside this one, and returns once it listens. The queue ends with
// this process, however that ends.
func startQueue(ctx context.Context, tcp, http string, logger hclog.Logger) (*queue, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program := filepath.Join(filepath.Dir(self), "logger-nsqd")
	// The queue does not end with ctx: others still give back to it what they hold.
	q := &queue{cmd: exec.CommandContext(context.WithoutCancel(ctx), program, tcp, http), ended: make(chan struct{})}
	stdin, err := q.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	q.stdin = stdin
	stdout, err := q.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := q.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := q.cmd.Start(); err != nil {
		return nil, fmt.Errorf("the queue is a program beside this one, which `make binaries` builds: %w", err)
	}
	var said struct{ TCP, HTTP, Error string }
	saidErr := json.NewDecoder(stdout).Decode(&said)
	go func() { // ends with the process
		logLines(stderr, logger)
		q.err = q.cmd.Wait()
		close(q.ended)
	}()
	if saidErr != nil || said.Error != "" {
		return nil, errors.Join(errors.New(said.Error), saidErr, q.stop())
	}
	q.tcp, q.http = said.TCP, said.HTTP
	return q, nil
}

// stop ends the process, and returns once it has ended.
func (q *queue) stop() error {
	q.stopping.Do(func() { _ = q.stdin.Close() })
	kill := time.AfterFunc(queueStopTime, func() { _ = q.cmd.Process.Kill() })
	defer kill.Stop()
	<-q.ended
	return q.err
}

// logLines copies nsqd's lines into our log. Those below a warning become debug lines: they are
// rarely of interest here.
func logLines(from io.Reader, logger hclog.Logger) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		word, line, _ := strings.Cut(lines.Text(), " ")
		var level slog.Level
		switch err := level.UnmarshalText([]byte(word)); {
		case err != nil:
			logger.Error(lines.Text())
		case level >= slog.LevelError:
			logger.Error(line)
		case level >= slog.LevelWarn:
			logger.Warn(line)
		default:
			logger.Debug(line)
		}
	}
	_, _ = io.Copy(io.Discard, from) // a line was too long
}
