package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/deis/logger/cmd/logger/internal/cli"
)

const usage = `usage: logger [COMMAND]

  serve        run the logger as the environment says (the default)
  dev          run it with a queue of its own, in memory, and nothing to install
  plugins      list the installed plugins and their settings; check one, begin one

  tail         print the newest lines of an app, and follow it
  apps         list the apps that have lines
  delete       delete the lines of an app
  completion   print a completion script for bash, zsh or fish

  doctor       say why there are no lines, of an app or at all
  version      print the version
  help         print this, or the help of a command

"logger COMMAND --help" tells more of each. The environment variables that serve and dev read
are in docs/configuration.md.
`

const serveHelp = `Run the logger as the environment says, until SIGTERM, SIGINT or SIGHUP.

usage: logger [serve]

It takes no flags: each setting is an environment variable. "logger plugins" lists those of the
installed plugins with their values here, docs/configuration.md all of them. The first to know:

  DEIS_NSQD_SERVICE_HOST          host of nsqd; default: localhost
  STORAGE_ADAPTER                 where lines are kept: redis (the default), memory, or another
                                  installed storage
  DEIS_LOGGER_REDIS_SERVICE_HOST  host of Redis, for STORAGE_ADAPTER=redis
  NUMBER_OF_LINES                 how many lines of each app are kept; default: 1000
  LOGGER_LISTEN_ADDR              where HTTP is served; default: :8088
  LOGGER_PLUGIN_PATH              folders of plugins; default: plugins beside this program

SIGUSR1 makes the log one step more verbose, SIGUSR2 as it is configured.

exit codes: 0 stopped by a signal, 1 an error, 2 a mistake in the command
`

const devHelp = `Run the logger with a queue of its own and memory storage, and print how to try it. Nothing has to
be installed. It ends with Ctrl-C.

usage: logger dev

It takes no flags. It reads the environment that serve reads; these are different:

  LOGGER_LISTEN_ADDR         where HTTP is served; default: 127.0.0.1:8088
  STORAGE_ADAPTER            where lines are kept; default: memory
  LOGGER_DEV_NSQD_TCP_ADDR   address of the queue; default: 127.0.0.1:4150
  LOGGER_DEV_NSQD_HTTP_ADDR  address of its HTTP side; default: 127.0.0.1:4151

exit codes: 0 stopped by a signal, 1 an error, 2 a mistake in the command
`

const helpHelp = `Print what commands there are, or the help of one.

usage: logger help [COMMAND]
`

// names has the commands as a user may type them.
var names = []string{"serve", "dev", "plugins", "tail", "apps", "delete", "completion", "doctor", "version", "help"}

// others has commands of other programs, each with the one of ours that does the same.
var others = map[string]string{
	"logs": "tail", "log": "tail", "get": "tail", "cat": "tail", "follow": "tail",
	"ls": "apps", "list": "apps", "rm": "delete", "remove": "delete", "destroy": "delete",
	"run": "serve", "start": "serve", "server": "serve", "check": "plugins check", "new": "plugins new",
}

// helpOf returns the help of the command that the words name; ok is false if there is none.
func helpOf(words []string) (text string, ok bool) {
	if slices.Equal(words, []string{"plugins", "check"}) {
		return checkUsage, true
	}
	if slices.Equal(words, []string{"plugins", "new"}) {
		return newUsage, true
	}
	if len(words) != 1 {
		return usage, len(words) == 0
	}
	text, ok = map[string]string{
		"serve": serveHelp, "dev": devHelp, "plugins": pluginsUsage, "doctor": doctorHelp,
		"version": versionHelp, "help": helpHelp,
	}[words[0]]
	if !ok {
		text = cli.Help(words[0])
	}
	return text, text != ""
}

// isHelp reports whether an argument asks for help.
func isHelp(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }

// help prints the help of the command that the words name.
func help(words []string, stdout, stderr io.Writer) int {
	text, ok := helpOf(words)
	switch {
	case ok:
		_, _ = io.WriteString(stdout, text)
		return cli.ExitOK
	case len(words) > 1:
		_, _ = fmt.Fprintf(stderr, "logger help: %q: want one command at most\n", words[1])
	default:
		_, _ = fmt.Fprintf(stderr, "logger help: no command %q; %s\n", words[0], accepted(words[0]))
	}
	return cli.ExitUsage
}

// accepted says what may be typed instead of an unknown command.
func accepted(command string) string {
	text := "there are"
	for i, name := range names {
		if i > 0 {
			text += ","
		}
		text += " " + name
	}
	near := others[command]
	if near == "" {
		near = cli.Nearest(command, names)
	}
	if near != "" {
		text = fmt.Sprintf("did you mean %s? %s", near, text)
	}
	return text
}
