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

Launches the plugin NAME of LOGGER_PLUGIN_PATH, or the executable PATH (it has a slash), as
"logger serve" would, and runs the conformance suite against it. What "logger serve" refuses, it
refuses with the same words. A plugin's settings are its defaults and those that are given here,
none from the environment by themselves: point them to a backend that nobody uses. A storage's
check uses apps "check-RANDOM-..." and deletes them again.

  --kind KIND           storage or aggregator, if the name does not tell
  --setting NAME=VALUE  a setting of the plugin (repeat); other users of the machine see arguments,
                        so give a secret by one of the next two
  --setting-file NAME=FILE
                        a setting whose value is in a file, without newlines at the end (repeat);
                        --setting NAME_FILE=FILE is the same, as for the logger
  --setting-env NAME[=VARIABLE]
                        a setting whose value is in the environment variable of its own name, or
                        in another one (repeat)
  --without CHECK=WHY   leave a check out, and say why in the report (repeat)
  --publish COMMAND     aggregators: a shell command that publishes its stdin as one message;
                        up to four of these commands run at the same time
  --outstanding COMMAND aggregators: a shell command that prints how many messages the
                        transport has that are not acknowledged
  --break COMMAND       aggregators: cuts the aggregator off from its transport; storages: takes
                        the backend away, such as "systemctl kill -s KILL redis" or "docker kill db"
  --mend COMMAND        undoes that, and returns once the backend serves
  --freeze COMMAND      storages: has the backend stand still, such as "docker pause db"
  --thaw COMMAND        undoes that
  -o FORMAT             text or json (one object per line)

With --break a storage's check takes the backend away eight times at most, and looks whether calls
end in time, Check tells it, Follow goes on and nothing that was acknowledged is missing. So the
backend has to keep what it accepted when it is killed (Redis: appendfsync always).

Exit code: 0 when no check failed, 1 when one did or none could run, 2 for bad arguments.
`

// pairs collects NAME=VALUE flags.
type pairs map[string]string

func (p pairs) String() string { return "" }

// Set implements [flag.Value].
func (p pairs) Set(text string) error {
	return p.set(text, func(value string) (string, error) { return value, nil })
}

// set adds a pair whose value is what read returns.
func (p pairs) set(text string, read func(string) (string, error)) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("want NAME=VALUE")
	}
	value, err := read(value)
	if err != nil {
		return err
	}
	if _, twice := p[name]; twice {
		return fmt.Errorf("%s is given twice: %w", name, sdk.ErrInvalid)
	}
	p[name] = value
	return nil
}

// setFile adds a pair whose value is in a file.
func (p pairs) setFile(text string) error {
	return p.set(text, func(file string) (string, error) {
		b, err := os.ReadFile(file)
		return strings.TrimRight(string(b), "\r\n"), err
	})
}

// setEnv adds a pair whose value is in a variable of the environment.
func (p pairs) setEnv(text string) error {
	if !strings.Contains(text, "=") {
		text += "=" + text
	}
	return p.set(text, func(variable string) (string, error) {
		value, ok := os.LookupEnv(variable)
		if !ok {
			return "", fmt.Errorf("%s is not set: %w", variable, sdk.ErrInvalid)
		}
		return value, nil
	})
}

func (p pairs) lookup(name string) (value string, ok bool) {
	value, ok = p[name]
	return value, ok
}

// readFiles replaces NAME_FILE by the setting NAME with the file's content, as the logger does. The
// suite would refuse NAME_FILE: the plugin declares no such setting.
func (p pairs) readFiles(settings []sdk.Setting) error {
	for _, s := range settings {
		value, err := plugin.Given(s.Env, p.lookup)
		if err != nil {
			return err
		}
		if file := s.Env + "_FILE"; p[file] != "" {
			p[s.Env] = value
			delete(p, file)
		}
	}
	return nil
}

type checkOptions struct {
	kind, format      string
	settings, without pairs
	transport         commandTransport
	freeze, thaw      string
	target            string
}

func parseCheck(args []string) (o checkOptions, err error) {
	o = checkOptions{settings: pairs{}, without: pairs{}}
	flags := flag.NewFlagSet("plugins check", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error is one line
	flags.StringVar(&o.kind, "kind", "", "")
	flags.StringVar(&o.format, "o", "text", "")
	flags.Var(o.settings, "setting", "")
	flags.Func("setting-file", "", o.settings.setFile)
	flags.Func("setting-env", "", o.settings.setEnv)
	flags.Var(o.without, "without", "")
	flags.StringVar(&o.transport.publish, "publish", "", "")
	flags.StringVar(&o.transport.outstanding, "outstanding", "", "")
	flags.StringVar(&o.transport.cut, "break", "", "")
	flags.StringVar(&o.transport.mend, "mend", "", "")
	flags.StringVar(&o.freeze, "freeze", "", "")
	flags.StringVar(&o.thaw, "thaw", "", "")
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
	case (o.freeze == "") != (o.thaw == ""):
		err = sdk.Refusef("--freeze and --thaw belong together")
	case o.freeze != "" && o.transport.cut == "":
		err = sdk.Refusef("--freeze needs --break and --mend too")
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
	opts, err := host.LoadOptions(os.LookupEnv)
	if err != nil {
		return false, err
	}
	exe, err := findPlugin(catalog(opts), o.target, o.kind)
	if err != nil {
		return false, err
	}
	if err = openOnce(ctx, opts, &exe, o.settings, warn); err != nil {
		return false, err
	}
	var without []plugintest.Option
	for check, why := range o.without {
		without = append(without, plugintest.Without(check, why))
	}
	report.begin(exe)
	if exe.Kind == sdk.StorageKind {
		return checkStorage(ctx, o, exe.Path, report, warn, without)
	}
	if o.freeze != "" {
		return false, sdk.Refusef("an aggregator takes no --freeze or --thaw")
	}
	transport := o.transport.open(ctx)
	if _, ok := transport.(aggregatortest.Breakable); transport != nil && !ok {
		without = append(without, plugintest.Without("TransportAway", "it needs --break and --mend"))
	}
	return aggregatortest.Check(ctx, exe.Path, o.settings, transport, report.add, without...)
}

// checkStorage runs the suite of storages, and the checks in which the backend fails.
func checkStorage(
	ctx context.Context, o checkOptions, path string, report *checkReport, warn func(string), without []plugintest.Option,
) (bool, error) {
	if o.transport.publish != "" {
		return false, sdk.Refusef("a storage takes no --publish or --outstanding")
	}
	return storagetest.CheckWithBackend(ctx, path, o.settings, o.backend(ctx), warn, report.add, without...)
}

// openOnce opens the plugin as the logger would, and ends it again. So whatever the logger would
// refuse or fail on is reported in its words. It sets the executable's kind and name to what the
// plugin says, and settings that are in files to what these hold.
func openOnce(ctx context.Context, opts host.Options, exe *plugin.Executable, settings pairs, warn func(string)) error {
	dir, err := os.MkdirTemp("", "lp") // short, for sockets
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	launch, err := launchOptions(opts, dir)
	if err != nil {
		return err
	}
	launch.Survey = plugin.NewSurvey(catalog(opts), launch)
	if err := launch.Survey.Run(ctx); err != nil {
		return err
	}
	launch.Executable, launch.StateDir = *exe, filepath.Join(dir, "state")
	launch.Lookup = settings.lookup
	if err := os.Mkdir(launch.StateDir, 0o700); err != nil {
		return err
	}
	trial, err := plugin.Open(ctx, launch)
	if err != nil {
		return err
	}
	defer trial.End()
	if stray := trial.Stray(); stray != "" {
		warn(fmt.Sprintf("the plugin printed %q on stdout before its handshake: the logger passes over that, but stderr is the place for it", stray))
	}
	exe.Kind, exe.Name = trial.Description().Kind, trial.Description().Name
	if want := "logger-" + exe.String(); filepath.Base(exe.Path) != want {
		warn(fmt.Sprintf("the logger finds the plugin only if its file is called %s", want))
	}
	return settings.readFiles(trial.Description().Settings)
}

// findPlugin returns the executable that a person means by a path, NAME or KIND-NAME. For a path,
// it leaves kind and name empty if neither the argument kind nor the file's name says them.
func findPlugin(catalog *plugin.Catalog, target, kind string) (plugin.Executable, error) {
	kinds := []sdk.Kind{sdk.StorageKind, sdk.AggregatorKind}
	if strings.ContainsRune(target, os.PathSeparator) {
		path, err := filepath.Abs(target)
		if err != nil {
			return plugin.Executable{}, err
		}
		exe := plugin.Executable{Path: path}
		for _, k := range kinds {
			name, ok := strings.CutPrefix(filepath.Base(path), "logger-"+k.String()+"-")
			if ok {
				exe.Kind, exe.Name = k, name
			}
		}
		for _, k := range kinds {
			if k.String() == kind {
				exe.Kind = k
			}
		}
		_, err = os.Stat(path)
		return exe, err
	}
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
