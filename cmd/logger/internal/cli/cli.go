// Package cli has the logger's commands for people. They show which apps have logs and what is kept
// of each, and the lines themselves, as they come.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/deis/logger/client"
)

// System holds what a command sees of its surroundings.
type System struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// InTerminal, OutTerminal and ErrTerminal say whether the stream is a terminal.
	InTerminal, OutTerminal, ErrTerminal bool
	// Env looks up an environment variable; it returns "" for an unset one.
	Env func(name string) string
	// Name is the name by which the program was called.
	Name, Version string
}

// programName matches a name that a shell takes without quotes.
var programName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// called returns what a user types to call the program. It may have another name, since util-linux
// has a logger too.
func (s *System) called() string {
	if programName.MatchString(s.Name) {
		return s.Name
	}
	return "logger"
}

// Exit codes.
const (
	ExitOK       = 0
	ExitError    = 1
	ExitUsage    = 2
	ExitNoApp    = 3
	ExitNotReady = 4
	// exitSignal plus the number of a signal is the exit code after that signal.
	exitSignal = 128
)

// Stopped is the cause of a context that a signal ended.
type Stopped struct{ Signal os.Signal }

func (s Stopped) Error() string { return s.Signal.String() }

// Code returns the exit code after the signal.
func (s Stopped) Code() int {
	if number, ok := s.Signal.(syscall.Signal); ok {
		return exitSignal + int(number)
	}
	return ExitError
}

// command describes one of the commands.
type command struct {
	name string
	help string
	// flags returns the flags that the command takes; run parses them again.
	flags func() *pflag.FlagSet
	run   func(ctx context.Context, s *System, args []string) error
}

func commands() []command {
	return []command{
		{"tail", tailHelp, func() *pflag.FlagSet { return new(tailFlags).set() }, tail},
		{"apps", appsHelp, func() *pflag.FlagSet { return new(appsFlags).set() }, apps},
		{"delete", deleteHelp, func() *pflag.FlagSet { return new(deleteFlags).set() }, deleteLogs},
		{"completion", completionHelp, func() *pflag.FlagSet { return newFlags("completion") }, completion},
	}
}

// completeCommand is the command that the shells' scripts call.
const completeCommand = "__complete"

// Has reports whether this package has such a command.
func Has(name string) bool {
	if name == completeCommand {
		return true
	}
	for _, c := range commands() {
		if c.name == name {
			return true
		}
	}
	return false
}

// Run runs a command until it or ctx ends, and returns the exit code.
func Run(ctx context.Context, s *System, name string, args []string) int {
	if name == completeCommand {
		complete(ctx, s, args)
		return ExitOK
	}
	for _, c := range commands() {
		if c.name != name {
			continue
		}
		err := c.run(ctx, s, args)
		if errors.Is(err, pflag.ErrHelp) {
			_, _ = io.WriteString(s.Stdout, c.help)
			return ExitOK
		}
		return s.report(name, err)
	}
	return ExitUsage
}

// Help returns the help of a command; empty if this package has no such command.
func Help(name string) string {
	for _, c := range commands() {
		if c.name == name {
			return c.help
		}
	}
	return ""
}

// usageError tells what is wrong with how the command was typed.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// noAppError says that an app has no log.
type noAppError struct {
	app, nearest string
	several      string // in the place of app
}

func (e noAppError) Error() string {
	s := fmt.Sprintf("no such app yet: nothing is kept of %s", cmp.Or(e.several, strconv.Quote(e.app)))
	if e.nearest != "" {
		return s + fmt.Sprintf(" (did you mean %q?)", e.nearest)
	}
	return s + " (logger apps lists those that have lines)"
}

// report prints on stderr, in one line, what went wrong, and returns the exit code.
func (s *System) report(command string, err error) int {
	message, code := explain(err)
	if message != "" {
		_, _ = fmt.Fprintf(s.Stderr, "logger %s: %s\n", command, message)
	}
	return code
}

// explain turns an error into a message, if there is anything to say, and an exit code.
func explain(err error) (message string, code int) {
	var (
		stopped     Stopped
		usage       usageError
		noApp       noAppError
		unreachable *client.UnreachableError
		answer      *client.Error
		lost        *client.LostError
		ended       *client.EndedError
	)
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE):
		return "", ExitOK // the reader has read enough
	case errors.As(err, &stopped):
		return "", stopped.Code()
	case errors.As(err, &usage):
		return usage.message, ExitUsage
	case errors.As(err, &noApp):
		return noApp.Error(), ExitNoApp
	case errors.As(err, &unreachable):
		return fmt.Sprintf("cannot reach the logger at %s: %v (--server or LOGGER_URL says where it is)", unreachable.URL, unreachable.Err), ExitNotReady
	case errors.As(err, &answer):
		return explainAnswer(answer)
	case errors.As(err, &lost), errors.As(err, &ended):
		return err.Error(), ExitNotReady
	default:
		return err.Error(), ExitError
	}
}

func explainAnswer(e *client.Error) (message string, code int) {
	switch {
	case e.Code == client.CodeUnauthorized:
		return fmt.Sprintf("the logger refuses: %s (--token-file or LOGGER_TOKEN_FILE names a file with a token)", e.Message), ExitError
	case e.Code == client.CodeBadRequest, e.Code == client.CodeTooExpensive:
		return e.Message, ExitUsage
	case e.Code == client.CodeFollowers:
		return "the logger has too many followers: " + e.Message, ExitNotReady
	case e.Code == client.CodeBusy:
		return "the logger is busy: " + e.Message, ExitNotReady
	case e.NotReady():
		return "the logger is not ready: " + e.Message, ExitNotReady
	case e.Code == "" || e.Code == client.CodeNotFound:
		return fmt.Sprintf("that is no logger with a /v1 API: %s (--server or LOGGER_URL says where it is)", e.Message), ExitError
	default:
		return e.Message, ExitError
	}
}
