package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/cmd/logger/internal/cli"
	"github.com/deis/logger/host"
	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

const pluginsUsage = `usage: logger plugins [-o text|json]
       logger plugins check [OPTIONS] NAME|PATH
       logger plugins new storage|aggregator NAME [--lang go|python|node] [--sdk PATH]

Without a command it lists the plugins of LOGGER_PLUGIN_PATH with every setting, its default
and its value in this environment. "logger plugins check -h" says how to check one, and
"logger plugins new -h" how to begin one.
`

// plugins lists the installed plugins, checks one, or begins a new one.
func plugins(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "check" {
		return checkPlugin(ctx, args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == "new" {
		return writePlugin(args[1:], stdout, stderr)
	}
	format, err := parseFormat(args, "want no argument, check NAME|PATH, or new KIND NAME")
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "logger plugins:", err)
		return cli.ExitUsage
	}
	list, err := installedPlugins(ctx, os.LookupEnv)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "logger:", err)
		return cli.ExitError
	}
	if format == "json" {
		err = printJSON(stdout, list)
	} else {
		err = printPlugins(stdout, list)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "logger:", err)
		return cli.ExitError
	}
	return cli.ExitOK
}

// installedPlugin holds what is known of one plugin. A broken plugin has an error of one line, and
// whatever else could be learnt.
type installedPlugin struct {
	Kind     string             `json:"kind"`
	Name     string             `json:"name"`
	Version  string             `json:"version,omitempty"`
	Protocol int                `json:"protocol,omitempty"`
	Doc      string             `json:"doc,omitempty"`
	Path     string             `json:"path"`
	Checksum string             `json:"checksum"`
	Error    string             `json:"error,omitempty"`
	Settings []installedSetting `json:"settings"`
}

// installedSetting holds one setting of a plugin, with its value in this environment.
type installedSetting struct {
	Name     string `json:"name"`
	Doc      string `json:"doc,omitempty"`
	Default  string `json:"default"`
	Value    string `json:"value"`
	Set      bool   `json:"set"`
	Secret   bool   `json:"secret,omitempty"`
	Required bool   `json:"required,omitempty"`
	Error    string `json:"error,omitempty"`
}

// masked is shown in the place of a secret that has a value.
const masked = "********"

// installedPlugins asks every installed plugin what it is.
func installedPlugins(ctx context.Context, lookup func(string) (string, bool)) ([]installedPlugin, error) {
	opts, err := host.LoadOptions(lookup)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lp") // short, for sockets
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	launch, err := launchOptions(opts, dir)
	if err != nil {
		return nil, err
	}
	survey := plugin.NewSurvey(catalog(opts), launch)
	if err := survey.Run(ctx); err != nil {
		return nil, err
	}
	list := []installedPlugin{}
	for _, p := range survey.Found() {
		shown := installedPlugin{Kind: p.Kind.String(), Name: p.Name, Path: p.Path, Checksum: p.Checksum, Protocol: p.Protocol, Settings: []installedSetting{}}
		if p.Err != nil {
			shown.Error = p.Err.Error()
			list = append(list, shown)
			continue
		}
		shown.Version, shown.Doc = oneLine(p.Description.Version), oneLine(p.Description.Doc)
		for _, s := range p.Description.Settings {
			shown.Settings = append(shown.Settings, describeSetting(s, survey.Refuse(s, p.Executable), lookup))
		}
		list = append(list, shown)
	}
	return list, nil
}

// catalog finds plugins where the logger does.
func catalog(opts host.Options) *plugin.Catalog {
	return plugin.NewCatalog(filepath.SplitList(opts.PluginPath)...)
}

// launchOptions returns options that launch plugins as the logger does. Dir is for their sockets.
func launchOptions(opts host.Options, dir string) (o plugin.Options, err error) {
	o = plugin.DefaultOptions()
	o.RunDir, o.Logger = dir, hclog.NewNullLogger()
	o.Limits = plugin.Limits{OpenFiles: opts.MaxOpenFiles, Memory: opts.MaxMemory}
	if err := o.Limits.Check(); err != nil {
		return o, err
	}
	o.Trust, err = plugin.NewTrust(opts.Checksums)
	return o, err
}

// describeSetting returns the setting as it is in this environment. If the logger refuses to give
// the value to the plugin, it is not shown.
func describeSetting(s sdk.Setting, refused error, lookup func(string) (string, bool)) installedSetting {
	given, _ := plugin.Given(s.Env, lookup)
	out := installedSetting{
		Name: oneLine(s.Env), Doc: oneLine(s.Doc), Default: oneLine(plugin.MaskUserinfo(s.Default)), Set: given != "", Secret: s.Secret, Required: s.Required,
	}
	if refused != nil {
		out.Error = oneLine(refused.Error())
		return out
	}
	value, err := plugin.Value(s, lookup)
	if err != nil {
		out.Error = err.Error()
	}
	if s.Secret {
		if value != "" || given != "" {
			value = masked
		}
		if out.Default != "" {
			out.Default = masked
		}
	}
	out.Value = oneLine(plugin.MaskUserinfo(value))
	return out
}

// oneLine escapes characters with which a plugin could forge lines or control a terminal.
func oneLine(text string) string {
	quoted := strconv.Quote(text)
	quoted = quoted[1 : len(quoted)-1]
	return strings.ReplaceAll(quoted, `\"`, `"`)
}

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

func printPlugins(w io.Writer, list []installedPlugin) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no plugin is installed in LOGGER_PLUGIN_PATH")
		return err
	}
	for i, p := range list {
		if i > 0 {
			_, _ = fmt.Fprintln(w)
		}
		if p.Error != "" {
			_, _ = fmt.Fprintf(w, "%s %s: BROKEN: %s\n", p.Kind, p.Name, p.Error)
		} else {
			_, _ = fmt.Fprintf(w, "%s %s %s: %s\n", p.Kind, p.Name, p.Version, p.Doc)
		}
		_, _ = fmt.Fprintf(w, "  path %s, checksum %s", p.Path, p.Checksum)
		if p.Protocol > 0 {
			_, _ = fmt.Fprintf(w, ", protocol %d", p.Protocol)
		}
		_, _ = fmt.Fprintln(w)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, s := range p.Settings {
			_, _ = fmt.Fprintf(table, "  %s\t%s\t%s\n", s.Name, shownValue(s), s.Doc)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// shownValue returns a setting's value, and its default where that differs.
func shownValue(s installedSetting) string {
	switch {
	case s.Error != "":
		return "REFUSED: " + s.Error
	case s.Required && !s.Set:
		return "(required)"
	case !s.Set && s.Value == "":
		return "(empty by default)"
	case !s.Set:
		return s.Value + " (default)"
	case s.Default == "":
		return s.Value
	default:
		return s.Value + " (default " + s.Default + ")"
	}
}
