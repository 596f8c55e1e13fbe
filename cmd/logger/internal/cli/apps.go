package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/deis/logger/client"
	"github.com/deis/logger/cmd/logger/internal/render"
)

const appsHelp = `List the apps that have lines, or those named.

usage: logger apps [APP...] [flags]

examples:
  logger apps
  logger apps --sort newest
  logger apps -o name | xargs -n1 logger tail -n 1
  logger apps -o json | jq '.apps[] | select(.bytes > 1e6).app'

flags:
  -o, --output FORMAT    default, name or json (as the logger gives it)
      --sort KEY         name, lines, bytes, oldest or newest: the most or latest first
      --no-headers       no line of headings
      --server URL       where the logger is (LOGGER_URL; http://127.0.0.1:8088)
      --token-file FILE  file with a bearer token (LOGGER_TOKEN_FILE)
  -h, --help             this

exit codes: as of logger tail; 3 if one that is named has no log.
`

type appsFlags struct {
	connection
	output, sort string
	noHeaders    bool
}

var (
	appsOutputWords = []string{"default", "name", "json"}
	appsSortWords   = []string{"name", "lines", "bytes", "oldest", "newest"}
)

func (f *appsFlags) set() *pflag.FlagSet {
	fs := newFlags("apps")
	f.output, f.sort = "default", "name"
	fs.VarP(choice{&f.output, appsOutputWords}, "output", "o", "default, name or json")
	fs.Var(choice{&f.sort, appsSortWords}, "sort", "name, lines, bytes, oldest or newest")
	fs.BoolVar(&f.noHeaders, "no-headers", false, "no line of headings")
	f.add(fs)
	return fs
}

func apps(ctx context.Context, s *System, args []string) error {
	f := &appsFlags{}
	fs := f.set()
	if err := parse(fs, args, map[string]string{"sort-by": "it is --sort"}); err != nil {
		return err
	}
	api, err := f.client(s)
	if err != nil {
		return err
	}
	defer api.Close()
	list, err := wanted(ctx, api, fs.Args())
	if err != nil {
		return err
	}
	f.order(list)
	var b bytes.Buffer
	switch f.output {
	case "json":
		raw := make([]json.RawMessage, len(list))
		for i, a := range list {
			raw[i] = a.Raw
		}
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(map[string]any{"apps": raw}); err != nil {
			return err
		}
	case "name":
		for _, a := range list {
			_, _ = fmt.Fprintln(&b, name(a))
		}
	default:
		if len(list) == 0 {
			_, _ = fmt.Fprintln(s.Stderr, "no apps yet: no line has come so far, or none is kept")
		} else {
			f.table(&b, list)
		}
	}
	_, err = s.Stdout.Write(b.Bytes())
	return err
}

// wanted returns the named apps, or all if none is named.
func wanted(ctx context.Context, api *client.Client, names []string) ([]client.App, error) {
	if len(names) == 0 {
		return api.Apps(ctx)
	}
	list := make([]client.App, 0, len(names))
	for _, n := range names {
		app, err := oneKnown(ctx, api, n)
		if err != nil {
			return nil, err
		}
		list = append(list, app)
	}
	return list, nil
}

// oneKnown returns an app, which has to have a log.
func oneKnown(ctx context.Context, api *client.Client, app string) (client.App, error) {
	found, err := api.App(ctx, app)
	if client.HasCode(err, client.CodeAppUnknown) {
		err = noApp(ctx, api, app)
	}
	return found, err
}

func (f *appsFlags) order(list []client.App) {
	slices.SortStableFunc(list, func(a, b client.App) int {
		switch f.sort {
		case "lines":
			return compare(b.Entries, a.Entries)
		case "bytes":
			return compare(b.Bytes, a.Bytes)
		case "oldest":
			return a.Oldest.Compare(b.Oldest)
		case "newest":
			return b.Newest.Compare(a.Newest)
		default:
			return strings.Compare(a.Name, b.Name)
		}
	})
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func (f *appsFlags) table(b *bytes.Buffer, list []client.App) {
	w := tabwriter.NewWriter(b, 0, 8, 3, ' ', 0)
	if !f.noHeaders {
		_, _ = fmt.Fprintln(w, "APP\tLINES\tSIZE\tOLDEST\tNEWEST")
	}
	now := time.Now()
	for _, a := range list {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", name(a), a.Entries, size(a.Bytes), age(now, a.Oldest), age(now, a.Newest))
	}
	_ = w.Flush() // into memory
}

func name(a client.App) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(render.Clean(a.Name, false))
}

func size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// age returns in short form how long ago a moment was.
func age(now, then time.Time) string {
	d := now.Sub(then)
	switch {
	case then.IsZero():
		return "-"
	case d < -time.Second:
		return "in " + age(then, now)
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(max(0, d).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
