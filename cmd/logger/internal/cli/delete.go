package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/deis/logger/client"
)

const deleteHelp = `Delete all that is kept of an app's log. It cannot be undone.

usage: logger delete APP [flags]

examples:
  logger delete foo
  logger delete foo --yes

flags:
  -y, --yes              do not ask; needed where there is no terminal to ask on
      --server URL       where the logger is (LOGGER_URL; http://127.0.0.1:8088)
      --token-file FILE  file with a bearer token (LOGGER_TOKEN_FILE)
  -h, --help             this

exit codes: as of logger tail; 3 if the app has no log, 1 if the answer was no.
`

type deleteFlags struct {
	connection
	yes bool
}

func (f *deleteFlags) set() *pflag.FlagSet {
	fs := newFlags("delete")
	fs.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	f.add(fs)
	return fs
}

var errNotDeleted = errors.New("nothing was deleted")

func deleteLogs(ctx context.Context, s *System, args []string) error {
	f := &deleteFlags{}
	fs := f.set()
	if err := parse(fs, args, map[string]string{"force": "it is --yes", "all": "one app at a time"}); err != nil {
		return err
	}
	app, err := oneApp("delete", fs)
	if err != nil {
		return err
	}
	if !f.yes && !s.InTerminal {
		return usagef("there is no terminal to ask on; --yes deletes without asking")
	}
	api, err := f.client(s)
	if err != nil {
		return err
	}
	defer api.Close()
	what := "the log of " + app
	switch found, err := oneKnown(ctx, api, app); {
	case client.HasCode(err, client.CodeUnsupported): // the storage cannot list its apps
	case err != nil:
		return err
	default:
		what += fmt.Sprintf(": %d lines, %s", found.Entries, size(found.Bytes))
	}
	if !f.yes {
		_, _ = fmt.Fprintf(s.Stderr, "delete %s? [y/N] ", what)
		if err := confirm(ctx, s.Stdin); err != nil {
			return err
		}
	}
	if err := api.Delete(ctx, app); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(s.Stderr, "deleted %s\n", what)
	return nil
}

// confirm waits for a line that says yes. The wait ends with ctx, although the read cannot be
// interrupted.
func confirm(ctx context.Context, stdin io.Reader) error {
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdin).ReadString('\n') // end of file is no yes
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answer:
		if a == "y" || a == "yes" {
			return nil
		}
		return errNotDeleted
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
