// Command logger is the log buffer of the platform: it takes containers' lines
// from a queue, keeps each app's most recent ones, and serves them over HTTP.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// version is stamped by the build.
var version = "dev"

// Exit codes.
const (
	exitOK = iota
	exitError
	exitUsage
)

const usage = `usage: logger [COMMAND]

  serve     run the logger as the environment says (the default)
  dev       run it with a queue of its own and memory storage, and nothing to install
  plugins   list the installed plugins and their settings; check one
  version   print the version

The environment variables that it reads are in the README.
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch command {
	case "serve":
		return noArgs(args, stderr, func() error { return serve(ctx, stderr) })
	case "dev":
		return noArgs(args, stderr, func() error { return dev(ctx, stdout, stderr) })
	case "plugins":
		return plugins(ctx, args, stdout, stderr)
	case "version", "--version", "-version":
		_, _ = fmt.Fprintf(stdout, "logger %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return exitOK
	case "help", "--help", "-help", "-h":
		_, _ = fmt.Fprint(stdout, usage)
		return exitOK
	default:
		_, _ = fmt.Fprintf(stderr, "logger: no command %q\n\n%s", command, usage)
		return exitUsage
	}
}

// noArgs runs a command that takes none.
func noArgs(args []string, stderr io.Writer, command func() error) int {
	if len(args) > 0 {
		_, _ = fmt.Fprintf(stderr, "logger: %q: this command takes no arguments\n", args[0])
		return exitUsage
	}
	if err := command(); err != nil {
		_, _ = fmt.Fprintln(stderr, "logger:", err)
		return exitError
	}
	return exitOK
}
