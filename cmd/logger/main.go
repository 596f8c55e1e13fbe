// Command logger is the log buffer of the platform: it takes containers' lines
// from a queue, keeps each app's most recent ones, and serves them over HTTP. It is
// also what people read them with.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/deis/logger/cmd/logger/internal/cli"
)

// version is stamped by the build.
var version = "dev"

const usage = `usage: logger [COMMAND]

  serve        run the logger as the environment says (the default)
  dev          run it with a queue of its own and memory storage, and nothing to install
  plugins      list the installed plugins and their settings; check one

  tail         print the newest lines of an app, and follow it
  apps         list the apps that have lines
  delete       delete the lines of an app
  completion   print a completion script for bash, zsh or fish

  doctor       say why there are no lines, of an app or at all
  version      print the version

logger COMMAND --help tells more of tail, apps, delete, completion and doctor. The
environment variables that serve and dev read are in docs/configuration.md.
`

// names are the commands as a user may type them.
var names = []string{"serve", "dev", "plugins", "tail", "apps", "delete", "completion", "doctor", "version", "help"}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	if cli.Has(command) {
		return runClient(command, args)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	switch command {
	case "serve":
		return noArgs(args, stderr, func() error { return serve(ctx, stderr) })
	case "dev":
		return noArgs(args, stderr, func() error { return dev(ctx, stdout, stderr) })
	case "plugins":
		return plugins(ctx, args, stdout, stderr)
	case "doctor":
		return examine(ctx, args, stdout, stderr)
	case "version", "--version", "-version":
		_, _ = fmt.Fprintf(stdout, "logger %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return cli.ExitOK
	case "help", "--help", "-help", "-h":
		text := usage
		if len(args) == 1 && args[0] == "doctor" {
			text = doctorHelp
		}
		if len(args) == 1 && cli.Help(args[0]) != "" {
			text = cli.Help(args[0])
		}
		_, _ = fmt.Fprint(stdout, text)
		return cli.ExitOK
	default:
		_, _ = fmt.Fprintf(stderr, "logger: no command %q; %s\n", command, accepted(command))
		return cli.ExitUsage
	}
}

// accepted says what may be typed instead of a command that is none.
func accepted(command string) string {
	text := "there are"
	for i, name := range names {
		if i > 0 {
			text += ","
		}
		text += " " + name
	}
	if near := cli.Nearest(command, names); near != "" {
		text = fmt.Sprintf("did you mean %s? %s", near, text)
	}
	return text
}

// noArgs runs a command that takes none.
func noArgs(args []string, stderr io.Writer, command func() error) int {
	if len(args) > 0 {
		_, _ = fmt.Fprintf(stderr, "logger: %q: this command takes no arguments\n", args[0])
		return cli.ExitUsage
	}
	if err := command(); err != nil {
		_, _ = fmt.Fprintln(stderr, "logger:", err)
		return cli.ExitError
	}
	return cli.ExitOK
}
