package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/deis/logger/cmd/logger/internal/cli"
)

// capture runs the program with these arguments; the commands for people write elsewhere.
func capture(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return code, out.String(), err.String()
}

func TestHelpOfEveryCommand(t *testing.T) {
	commands := [][]string{{"plugins", "check"}}
	for _, name := range names {
		commands = append(commands, []string{name})
	}
	for _, words := range commands {
		t.Run(strings.Join(words, " "), func(t *testing.T) {
			first := "usage: logger " + strings.Join(words, " ")
			if words[0] == "serve" {
				first = "usage: logger [serve]"
			}
			code, text, stderr := capture(t, append([]string{"help"}, words...)...)
			if code != cli.ExitOK || !strings.Contains(text, first) || stderr != "" {
				t.Errorf("help %q: %d, %q, %q, want %q in it", words, code, text, stderr, first)
			}
			if cli.Has(words[0]) {
				return // see TestHelp in e2e
			}
			for _, flag := range []string{"-h", "--help", "-help"} {
				for _, args := range [][]string{append(words[:len(words):len(words)], flag), append(words[:len(words):len(words)], "x", flag)} {
					code, out, stderr := capture(t, args...)
					if code != cli.ExitOK || out != text || stderr != "" {
						t.Errorf("%q: %d, %q, %q", args, code, out, stderr)
					}
				}
			}
		})
	}
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}} {
		if code, out, stderr := capture(t, args...); code != cli.ExitOK || out != usage || stderr != "" {
			t.Errorf("%q: %d, %q, %q", args, code, out, stderr)
		}
	}
}

// TestMistakesAreOneLine has commands that are refused, each with the line that is printed.
func TestMistakesAreOneLine(t *testing.T) {
	for line, want := range map[string]string{
		"help nope":            `logger help: no command "nope"; there are serve, dev, `,
		"help vresion":         `logger help: no command "vresion"; did you mean version? there are `,
		"--help tial":          `logger help: no command "tial"; did you mean tail? there are `,
		"help tail foo":        `logger help: "foo": want one command at most`,
		"version x":            `logger version: "x": this command takes no arguments`,
		"version -o yaml":      `logger version: -o "yaml": want text or json`,
		"serve x":              `logger serve: "x": this command takes no arguments`,
		"dev --verbose":        `logger dev: "--verbose": this command takes no arguments`,
		"plugins check":        `logger plugins check: which plugin? logger plugins check NAME|PATH (logger plugins lists those that are installed)`,
		"plugins check a b":    `logger plugins check: "b": want one plugin at a time`,
		"plugins check --nope": `logger plugins check: flag provided but not defined: -nope`,
		"plugins nope":         `logger plugins: "nope": want no argument, check NAME|PATH, or new KIND NAME`,
		"plugins --nope":       `logger plugins: flag provided but not defined: -nope`,
		"plugins -o xml":       `logger plugins: -o "xml": want text or json`,
		"doctor a b":           `logger doctor: want one app at most, and -o text or -o json`,
		"doctor --nope":        `logger doctor: flag provided but not defined: -nope`,
		"logs foo":             `logger: no command "logs"; did you mean tail? there are `,
		"ls":                   `logger: no command "ls"; did you mean apps? there are `,
		"rm foo":               `logger: no command "rm"; did you mean delete? there are `,
		"get foo":              `logger: no command "get"; did you mean tail? there are `,
		"check memory":         `logger: no command "check"; did you mean plugins check? there are `,
		"--nope":               `logger: no command "--nope"; there are `,
		"nope --help":          `logger: no command "nope"; there are `,
	} {
		t.Run(line, func(t *testing.T) {
			code, out, said := capture(t, strings.Fields(line)...)
			if code != cli.ExitUsage || out != "" || !strings.HasPrefix(said, want) || strings.Count(said, "\n") != 1 || !strings.HasSuffix(said, "\n") {
				t.Errorf("%d, %q, %q, want exit code %d and the line %q", code, out, said, cli.ExitUsage, want)
			}
		})
	}
}

// TestHintsAreCommands: every hint names a command that exists.
func TestHintsAreCommands(t *testing.T) {
	for typed, meant := range others {
		if _, ok := helpOf(strings.Fields(meant)); !ok {
			t.Errorf("%s: %s is no command", typed, meant)
		}
		if _, ok := helpOf([]string{typed}); ok {
			t.Errorf("%s is a command itself", typed)
		}
	}
}
