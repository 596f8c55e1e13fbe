package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/deis/logger/client"
)

// defaultServer is where `logger dev` serves.
const defaultServer = "http://127.0.0.1:8088"

// newFlags makes a set of flags for whose errors we have our own words.
func newFlags(name string) *pflag.FlagSet {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	return fs
}

// connection holds the flags that say which logger to ask, and with which token.
type connection struct{ server, tokenFile string }

func (c *connection) add(fs *pflag.FlagSet) {
	fs.StringVar(&c.server, "server", "", "URL of the logger")
	fs.StringVar(&c.tokenFile, "token-file", "", "file with a bearer token")
}

// client makes a client from the flags and the environment.
func (c *connection) client(s *System) (*client.Client, error) {
	url, from := c.server, "--server"
	if url == "" {
		url, from = s.Env("LOGGER_URL"), "LOGGER_URL"
	}
	if url == "" {
		url = defaultServer
	}
	opts := client.Options{URL: url, UserAgent: "logger/" + s.Version}
	file, what := c.tokenFile, "--token-file"
	if file == "" {
		file, what = s.Env("LOGGER_TOKEN_FILE"), "LOGGER_TOKEN_FILE"
	}
	if file != "" {
		opts.Token = func() (string, error) { return readToken(what, file) }
	}
	api, err := client.New(opts)
	if err != nil {
		return nil, usagef("%s: %v", from, err)
	}
	return api, nil
}

// maxToken is far larger than any token, and keeps a wrong file out of memory.
const maxToken = 64 << 10

func readToken(what, file string) (string, error) {
	info, err := os.Stat(file)
	if err == nil && info.Size() > maxToken {
		err = fmt.Errorf("%s: %d bytes are no token", file, info.Size())
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fmt.Errorf("%s: %s: want one token, in one line", what, file)
	}
	return token, nil
}

// parse reads the flags of a command. A mistake is an error of one line that says what is likely
// meant. foreign has flags that people know from other programs.
func parse(fs *pflag.FlagSet, args []string, foreign map[string]string) error {
	err := fs.Parse(args)
	if err == nil || errors.Is(err, pflag.ErrHelp) {
		return err
	}
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(fs, unknown, foreign)
	case errors.As(err, &missing):
		return usagef("%s wants a value: %s", dashed(missing.GetFlag(), missing.GetSpecifiedName()), missing.GetFlag().Usage)
	case errors.As(err, &invalid):
		return usagef("%s %q: %v", dashed(invalid.GetFlag(), ""), invalid.GetValue(), invalid.Unwrap())
	default:
		return usageError{err.Error()}
	}
}

func dashed(f *pflag.Flag, specified string) string {
	if len(specified) == 1 {
		return "-" + specified
	}
	return "--" + f.Name
}

func unknownFlag(fs *pflag.FlagSet, e *pflag.NotExistError, foreign map[string]string) error {
	name, dashes := e.GetSpecifiedName(), "--"
	if e.GetSpecifiedShortnames() != "" {
		dashes = "-"
	}
	if hint, ok := foreign[name]; ok {
		return usagef("no flag %s%s: %s", dashes, name, hint)
	}
	var names []string
	fs.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := Nearest(name, names); near != "" && dashes == "--" {
		return usagef("no flag --%s; did you mean --%s? (logger %s --help lists all)", name, near, fs.Name())
	}
	return usagef("no flag %s%s (logger %s --help lists all)", dashes, name, fs.Name())
}

// choice parses a flag whose value is one of a few words.
type choice struct {
	value   *string
	accepts []string
}

func (c choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

func (c choice) Type() string { return strings.Join(c.accepts, "|") }

func (c choice) Set(text string) error {
	for _, word := range c.accepts {
		if text == word {
			*c.value = text
			return nil
		}
	}
	want := "want " + strings.Join(c.accepts, ", ")
	if near := Nearest(text, c.accepts); near != "" {
		return fmt.Errorf("%s; did you mean %s?", want, near)
	}
	return errors.New(want)
}
