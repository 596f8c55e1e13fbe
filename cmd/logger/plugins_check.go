package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/deis/logger/cmd/logger/internal/cli"
	"github.com/deis/logger/host"
	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/aggregatortest"
	"github.com/deis/logger/sdk/plugintest"
	"github.com/deis/logger/sdk/storagetest"
)

const checkUsage = `usage: logger plugins check [OPTIONS] NAME|PATH

Launches the plugin NAME of LOGGER_PLUGIN_PATH, or the executable PATH (it has a slash), and
runs the conformance suite against it. Settings come from --setting and the plugin's defaults,
never from the environment: point them to a backend that nobody uses. A storage's check uses
apps "check-RANDOM-..." and deletes them again.

  --kind KIND           storage or aggregator, if the name does not tell
  --setting NAME=VALUE  a setting of the plugin (repeat)
  --without CHECK=WHY   leave a check out, and say why in the report (repeat)
  --publish COMMAND     aggregators: a shell command that publishes its stdin as one message
  --outstanding COMMAND aggregators: a shell command that prints how many messages the
                        transport has that are not acknowledged
  --break COMMAND       aggregators: cuts the aggregator off from its transport
  --mend COMMAND        aggregators: undoes that
  -o FORMAT             text or json (one object per line)

Exit code: 0 when no check failed, 1 when one did or none could run, 2 for bad arguments.
`

// pairs collects NAME=VALUE flags.
type pairs map[string]string

func (p pairs) String() string { return "" }

// Set implements [flag.Value].
func (p pairs) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("want NAME=VALUE")
	}
	p[name] = value
	return nil
}

type checkOptions struct {
	kind, format      string
	settings, without pairs
	transport         commandTransport
	target            string
}

func parseCheck(args []string) (o checkOptions, err error) {
	o = checkOptions{settings: pairs{}, without: pairs{}}
	flags := flag.NewFlagSet("plugins check", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error is one line
	flags.StringVar(&o.kind, "kind", "", "")
	flags.StringVar(&o.format, "o", "text", "")
	flags.Var(o.settings, "setting", "")
	flags.Var(o.without, "without", "")
	flags.StringVar(&o.transport.publish, "publish", "", "")
	flags.StringVar(&o.transport.outstanding, "outstanding", "", "")
	flags.StringVar(&o.transport.cut, "break", "", "")
	flags.StringVar(&o.transport.mend, "mend", "", "")
	for len(args) > 0 { // options may follow the name
		if err := flags.Parse(args); err != nil {
			return o, err
		}
		args = flags.Args()
		if len(args) > 0 {
			if o.target != "" {
				return o, sdk.Refusef("%q: want one plugin at a time", args[0])
			}
			o.target, args = args[0], args[1:]
		}
	}
	switch {
	case o.target == "":
		err = sdk.Refusef("which plugin? logger plugins check NAME|PATH (logger plugins lists those that are installed)")
	case o.kind != "" && o.kind != "storage" && o.kind != "aggregator":
		err = sdk.Refusef("--kind %q: want storage or aggregator", o.kind)
	case o.format != "text" && o.format != "json":
		err = sdk.Refusef("-o %q: want text or json", o.format)
	case (o.transport.publish == "") != (o.transport.outstanding == ""):
		err = sdk.Refusef("--publish and --outstanding belong together")
	case (o.transport.cut == "") != (o.transport.mend == ""):
		err = sdk.Refusef("--break and --mend belong together")
	}
	return o, err
}

// checkPlugin runs the conformance suite against one plugin's executable.
func checkPlugin(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseCheck(args)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "logger plugins check:", err)
		return cli.ExitUsage
	}
	report := &checkReport{out: stdout, json: o.format == "json"}
	ok, err := runCheck(ctx, o, report, func(line string) { _, _ = fmt.Fprintln(stderr, "warning:", line) })
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "logger plugins check:", err)
		return cli.ExitError
	}
	report.end()
	if !ok {
		return cli.ExitError
	}
	return cli.ExitOK
}

func runCheck(ctx context.Context, o checkOptions, report *checkReport, warn func(string)) (bool, error) {
	exe, err := findPlugin(o.target, o.kind)
	if err != nil {
		return false, err
	}
	trusted, err := host.LoadOptions(os.LookupEnv)
	if err != nil {
		return false, err
	}
	trust, err := plugin.NewTrust(trusted.Checksums)
	if err != nil {
		return false, err
	}
	if _, err := trust.Inspect(exe); err != nil {
		return false, err
	}
	if exe.Kind, err = kindOf(ctx, exe); err != nil {
		return false, err
	}
	var opts []plugintest.Option
	for check, why := range o.without {
		opts = append(opts, plugintest.Without(check, why))
	}
	report.begin(exe)
	if exe.Kind == sdk.StorageKind {
		if o.transport != (commandTransport{}) {
			return false, sdk.Refusef("a storage takes no --publish, --outstanding, --break or --mend")
		}
		return storagetest.Check(ctx, exe.Path, o.settings, warn, report.add, opts...)
	}
	transport := o.transport.open(ctx)
	if _, ok := transport.(aggregatortest.Breakable); transport != nil && !ok {
		opts = append(opts, plugintest.Without("TransportAway", "it needs --break and --mend"))
	}
	return aggregatortest.Check(ctx, exe.Path, o.settings, transport, report.add, opts...)
}

// findPlugin is the executable that a person means by a path, NAME or KIND-NAME.
func findPlugin(target, kind string) (plugin.Executable, error) {
	kinds := []sdk.Kind{sdk.StorageKind, sdk.AggregatorKind}
	if strings.ContainsRune(target, os.PathSeparator) {
		path, err := filepath.Abs(target)
		if err != nil {
			return plugin.Executable{}, err
		}
		exe := plugin.Executable{Name: filepath.Base(path), Path: path}
		for _, k := range kinds {
			if k.String() == kind {
				exe.Kind = k
			}
		}
		_, err = os.Stat(path)
		return exe, err
	}
	opts, err := host.LoadOptions(os.LookupEnv)
	if err != nil {
		return plugin.Executable{}, err
	}
	catalog := plugin.NewCatalog(filepath.SplitList(opts.PluginPath)...)
	var found []plugin.Executable
	var missing []string
	for _, k := range kinds {
		if kind != "" && kind != k.String() {
			continue
		}
		exe, err := catalog.Find(k, strings.TrimPrefix(target, k.String()+"-"))
		if err != nil {
			missing = append(missing, strings.TrimSuffix(err.Error(), ": "+plugin.ErrNotInstalled.Error()))
			continue
		}
		found = append(found, exe)
	}
	switch len(found) {
	case 0:
		return plugin.Executable{}, fmt.Errorf("%s: %w", strings.Join(missing, "; "), plugin.ErrNotInstalled)
	case 1:
		return found[0], nil
	default:
		return plugin.Executable{}, sdk.Refusef("there are a storage and an aggregator %q: say which with --kind", target)
	}
}

// kindOf asks the executable, and refuses one that is not of the kind that was asked for.
func kindOf(ctx context.Context, exe plugin.Executable) (sdk.Kind, error) {
	p, err := plugintest.Launch(ctx, exe.Path)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	if exe.Kind != 0 && exe.Kind != p.Description.Kind {
		return 0, sdk.Refusef("%s is %s plugin %q, not of kind %s", exe.Path, p.Description.Kind, p.Description.Name, exe.Kind)
	}
	return p.Description.Kind, nil
}

// checkReport prints results as they come.
type checkReport struct {
	out   io.Writer
	json  bool
	count map[plugintest.Outcome]int
	began time.Time
}

func (r *checkReport) begin(exe plugin.Executable) {
	r.count, r.began = map[plugintest.Outcome]int{}, time.Now()
	if !r.json {
		_, _ = fmt.Fprintf(r.out, "checking %s plugin %s\n", exe.Kind, exe.Path)
	}
}

func (r *checkReport) add(result plugintest.Result) {
	r.count[result.Outcome]++
	if r.json {
		_ = printJSONLine(r.out, map[string]any{
			"check": result.Check, "outcome": result.Outcome, "seconds": result.Took.Seconds(), "lines": result.Lines,
		})
		return
	}
	_, _ = fmt.Fprintf(r.out, "%-8s %-24s %8s\n", result.Outcome, result.Check, result.Took.Round(time.Millisecond))
	if result.Outcome != plugintest.Passed {
		for _, line := range result.Lines {
			for _, l := range strings.Split(line, "\n") {
				_, _ = fmt.Fprintln(r.out, "        ", oneLine(l))
			}
		}
	}
}

func (r *checkReport) end() {
	if r.json {
		return
	}
	_, _ = fmt.Fprintf(r.out, "%d passed, %d failed, %d left out, in %s\n", r.count[plugintest.Passed],
		r.count[plugintest.Failed], r.count[plugintest.OptedOut], time.Since(r.began).Round(10*time.Millisecond))
}
