// Command logger-nsqd is the queue of `logger dev`: a real nsqd. It is a program of its own, which
// the image leaves out: there, the queue is the platform's.
//
// Its arguments are the addresses of nsqd's TCP and HTTP sides. It prints one line of JSON: the
// addresses that it has, or why it has none. It ends when its stdin does.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/deis/logger/internal/embednsqd"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	// Ctrl-C goes to all programs of a terminal, and the queue is the last to end.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if len(args) != 2 {
		_, _ = fmt.Fprintln(os.Stderr, "usage: logger-nsqd TCP_ADDRESS HTTP_ADDRESS")
		return 2
	}
	say := json.NewEncoder(os.Stdout)
	queue, err := embednsqd.New(embednsqd.Options{TCPAddress: args[0], HTTPAddress: args[1], Log: logLine})
	if err != nil {
		_ = say.Encode(map[string]string{"error": err.Error()})
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	_ = say.Encode(map[string]string{"tcp": queue.TCPAddr(), "http": queue.HTTPAddr()})
	if err := queue.Run(ctx); err != nil {
		logLine(slog.LevelError, err.Error())
		return 1
	}
	return 0
}

// logLine prints a level and a line, which `logger dev` puts into its own log.
func logLine(level slog.Level, line string) { _, _ = fmt.Fprintf(os.Stderr, "%s %s\n", level, line) }
