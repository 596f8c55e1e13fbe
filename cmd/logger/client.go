package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/deis/logger/cmd/logger/internal/cli"
)

// stopGrace bounds how long a command may take to end after a signal: its output may be blocked.
const stopGrace = 500 * time.Millisecond

// runClient runs one of the commands for people until it ends, a signal comes, or nobody reads its
// output any more.
func runClient(command string, args []string) int {
	signal.Ignore(syscall.SIGPIPE) // so that a write to a closed pipe is an error
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, endings()...)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		if watchReader(ctx, os.Stdout) {
			cancel(syscall.EPIPE)
		}
	}()
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, &cli.System{
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			InTerminal: terminal(os.Stdin), OutTerminal: terminal(os.Stdout), ErrTerminal: terminal(os.Stderr),
			Env: os.Getenv, Name: filepath.Base(os.Args[0]), Version: version,
		}, command, args)
	}()
	select {
	case code := <-ended:
		return code
	case sig := <-signals:
		signal.Stop(signals) // a second one ends it at once
		stopped := cli.Stopped{Signal: sig}
		cancel(stopped)
		select {
		case code := <-ended:
			return code
		case <-time.After(stopGrace):
			return stopped.Code()
		}
	}
}

func terminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
