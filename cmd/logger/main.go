// Command logger is the log buffer of the platform: it takes containers' lines from a queue, keeps
// each app's most recent ones, and serves them over HTTP. People read the lines with it too.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/deis/logger/cmd/logger/internal/cli"
)

func main() {
	setVersion(record())
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch {
	case cli.Has(command):
		return runClient(command, args)
	case isHelp(command):
		return help(args, stdout, stderr)
	case slices.Contains(names, command) && slices.ContainsFunc(args, isHelp):
		if command == "plugins" && (args[0] == "check" || args[0] == "new") {
			return help([]string{command, args[0]}, stdout, stderr)
		}
		return help([]string{command}, stdout, stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	defer stop()
	switch command {
	case "serve":
		return noArgs(command, args, stderr, func() error { return serve(ctx, stderr) })
	case "dev":
		return noArgs(command, args, stderr, func() error { return dev(ctx, stdout, stderr) })
	case "plugins":
		return plugins(ctx, args, stdout, stderr)
	case "doctor":
		return examine(ctx, args, stdout, stderr)
	case "version", "--version", "-version":
		return printVersion(args, stdout, stderr)
	case "help":
		return help(args, stdout, stderr)
	default:
		_, _ = fmt.Fprintf(stderr, "logger: no command %q; %s\n", command, accepted(command))
		return cli.ExitUsage
	}
}

// endings returns the signals that end a command: SIGTERM, and SIGINT and SIGHUP unless they are
// ignored, as under nohup or in a shell's background.
func endings() []os.Signal {
	signals := []os.Signal{syscall.SIGTERM}
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if !signal.Ignored(sig) {
			signals = append(signals, sig)
		}
	}
	return signals
}

// noArgs runs a command that takes no arguments.
func noArgs(name string, args []string, stderr io.Writer, command func() error) int {
	if len(args) > 0 {
		_, _ = fmt.Fprintf(stderr, "logger %s: %q: this command takes no arguments\n", name, args[0])
		return cli.ExitUsage
	}
	if err := command(); err != nil {
		_, _ = fmt.Fprintln(stderr, "logger:", err)
		return cli.ExitError
	}
	return cli.ExitOK
}
