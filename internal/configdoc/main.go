// Command configdoc writes the reference of all environment variables from the structs that declare
// them: go run ./internal/configdoc >docs/configuration.md (make configuration). Variables that no
// struct declares are listed here by hand. The command fails if the programs' sources read a
// variable that no list has.
package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/deis/logger/host"
	"github.com/deis/logger/plugins/memory"
	"github.com/deis/logger/plugins/nsq"
	"github.com/deis/logger/plugins/redis"
	"github.com/deis/logger/sdk"
)

// section holds the variables of one process.
type section struct {
	title, about string
	settings     []sdk.Setting
}

const head = `# Configuration

<!-- Generated from the code by make configuration: change the structs, not this file. -->

For operators: after this page you can set everything that can be set.

Everything is an environment variable. An empty one counts as unset. A value that is not accepted
ends the start with one line that names the variable, the value and what is accepted;
` + "`logger doctor`" + ` says so without a start. A plugin gets the variables that it declares and no
others, over its own connection and not in its environment. ` + "`logger plugins`" + ` prints those of
every installed plugin, with their values here.

Each variable of the host and of a plugin may be in a file instead: ` + "`NAME_FILE`" + ` is the path of a
file with the value of ` + "`NAME`" + `, newlines at its end excepted. So passwords can be mounted from a
Kubernetes or Docker secret. A plugin that starts again reads its files anew.

**Secret** values are shown nowhere: not in logs, errors, ` + "`logger plugins`" + ` or ` + "`logger doctor`" + `.
`

func main() {
	text, err := document(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "configdoc:", err)
		os.Exit(1)
	}
	fmt.Print(text)
}

// document returns the whole reference; root is the folder of the repository.
func document(root string) (string, error) {
	sections, err := all()
	if err != nil {
		return "", err
	}
	if err := complete(root, sections); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(head)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| name | default | accepts | meaning |\n|---|---|---|---|\n", s.title, wrapped(s.about))
		for _, v := range s.settings {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.Env, defaultOf(v), accepts(v), meaning(v))
		}
	}
	return b.String(), nil
}

// wrapped returns the text in lines of at most 100 characters.
func wrapped(text string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column > 0 && column+1+len(word) > 100:
			b.WriteByte('\n')
			column = 0
		case column > 0:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

func all() ([]section, error) {
	var broken error
	of := func(settings []sdk.Setting, err error) []sdk.Setting {
		if err != nil && broken == nil {
			broken = err
		}
		return settings
	}
	sections := []section{
		{"The host: `logger serve`", "Read by the host itself.", of(sdk.DeclareSettings[host.Options]())},
		{"The aggregator `nsq`", "Read by the plugin `logger-aggregator-nsq` (`AGGREGATOR_TYPE=nsq`).", of(sdk.DeclareSettings[nsq.Settings]())},
		{"The storage `redis`", "Read by the plugin `logger-storage-redis` (`STORAGE_ADAPTER=redis`).", of(sdk.DeclareSettings[redis.Settings]())},
		{"The storage `memory`", "Read by the plugin `logger-storage-memory` (`STORAGE_ADAPTER=memory`).", of(sdk.DeclareSettings[memory.Settings]())},
		{"`logger dev`", "`logger dev` takes all variables above, and these. Its defaults of `STORAGE_ADAPTER`, `LOGGER_LISTEN_ADDR`, `LOGGER_ALLOWED_HOSTS` and `LOGGER_PLUGIN_REATTACH_ALLOW` are `memory`, `127.0.0.1:8088`, `localhost` and `true`.", dev},
		{"A plugin by itself", "Read by a plugin that the logger does not start: one in a debugger, a sidecar, or one elsewhere ([plugins/packaging.md](plugins/packaging.md#elsewhere)).", byItself},
		{"The commands for people", "`logger tail`, `apps`, `delete`, `doctor`; [cli.md](cli.md). Proxies are taken from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.", people},
		{"The Go run-time", "Of the host's own environment, a plugin process sees these, " + othersInherited() + ", and no others.", runTime},
	}
	for _, s := range runTime {
		if !slices.Contains(sdk.Inherited(), s.Env) && broken == nil {
			broken = fmt.Errorf("no plugin process sees %s: it belongs to another section", s.Env)
		}
	}
	return sections, broken
}

// othersInherited returns the variables that a plugin process sees besides those in runTime.
func othersInherited() string {
	var names []string
	for _, name := range sdk.Inherited() {
		if !slices.ContainsFunc(runTime, func(s sdk.Setting) bool { return s.Env == name }) {
			names = append(names, "`"+name+"`")
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

var byItself = []sdk.Setting{
	{Env: "LOGGER_PLUGIN_LISTEN", Doc: "where it serves: unix:///PATH or tcp://HOST:PORT; default: it says what it is, and ends"},
	{Env: "LOGGER_PLUGIN_STATE_DIR", Doc: "folder for what must survive its process"},
	{Env: "LOGGER_PLUGIN_TLS_CERT_FILE", Doc: "file of its certificate, in PEM; the three are needed where others can reach the address"},
	{Env: "LOGGER_PLUGIN_TLS_KEY_FILE", Doc: "file of its key"},
	{Env: "LOGGER_PLUGIN_TLS_CA_FILE", Doc: "file of the authority of the loggers' certificates"},
}

var dev = []sdk.Setting{
	{Env: "LOGGER_DEV_NSQD_TCP_ADDR", Default: "127.0.0.1:4150", Doc: "address of its nsqd"},
	{Env: "LOGGER_DEV_NSQD_HTTP_ADDR", Default: "127.0.0.1:4151", Doc: "and of its HTTP side"},
}

var people = []sdk.Setting{
	{Env: "LOGGER_URL", Doc: "where the logger is; default: `http://127.0.0.1:8088`, and for `doctor` what `LOGGER_LISTEN_ADDR` says"},
	{Env: "LOGGER_TOKEN_FILE", Doc: "file with a bearer token; default: none is sent"},
	{Env: "LOGGER_DOCTOR_NSQD_HTTP", Doc: "`doctor`: host:port of nsqd's HTTP side, of several with commas between; default: `DEIS_NSQD_SERVICE_PORT_HTTP` (4151) of each nsqd, or what nsqlookupd says"},
	{Env: "NO_COLOR", Doc: "not empty: no colours"},
}

var runTime = []sdk.Setting{
	{Env: "SSL_CERT_FILE", Doc: "PEM file of the certificate authorities that count as the system's"},
	{Env: "SSL_CERT_DIR", Doc: "folders of such files"},
	{Env: "GOMAXPROCS", Doc: "processors that each process uses at once; default: what the container's limit allows, and half of them for a plugin"},
	{Env: "GOMEMLIMIT", Doc: "heap at which each process collects garbage more often, such as 64MiB"},
	{Env: "GOGC", Default: "70 for the host, 400 for the memory storage, 200 for Redis, 100 for other plugins", Doc: "how much a heap may grow between two collections, in percent"},
	{Env: "GODEBUG", Doc: "switches of the Go run-time"},
	{Env: "GOTRACEBACK", Doc: "how much a crash prints"},
	{Env: "TZ", Doc: "time zone of the log; the lines of apps keep their own"},
}

var variable = regexp.MustCompile(`"((?:LOGGER|NSQ|DEIS)_[A-Z0-9_]+[A-Z0-9])"`)

// complete fails if the programs read a variable that no section has.
func complete(root string, sections []section) error {
	for _, dir := range []string{"cmd", "host", "client", "plugins"} {
		tree := os.DirFS(filepath.Join(root, dir))
		err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := tree.Open(path)
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			for lines := bufio.NewScanner(f); lines.Scan(); {
				for _, match := range variable.FindAllStringSubmatch(lines.Text(), -1) {
					if !documented(sections, match[1]) {
						return fmt.Errorf("%s/%s: %s is in no list: add it to internal/configdoc", dir, path, match[1])
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func documented(sections []section, name string) bool {
	return slices.ContainsFunc(sections, func(s section) bool {
		return slices.ContainsFunc(s.settings, func(v sdk.Setting) bool { return v.Env == name })
	})
}

func defaultOf(s sdk.Setting) string {
	switch {
	case s.Required:
		return "required"
	case s.Default == "":
		return ""
	default:
		return "`" + s.Default + "`"
	}
}

// accepts describes the values that a setting takes, for a cell of a table.
func accepts(s sdk.Setting) string {
	var text string
	switch s.Type {
	case sdk.BoolSetting:
		return "`true`, `false`, `1`, `0`"
	case sdk.IntSetting:
		text = "number"
	case sdk.SecondsSetting:
		text = "seconds, with a fraction or not"
	case sdk.DurationSetting:
		text = "duration, such as 720h"
	case sdk.BytesSetting:
		text = "size, such as 64KiB"
	default:
		text = "text"
		if s.Secret {
			text += ", **secret**"
		}
		if len(s.OneOf) > 0 {
			text = "`" + strings.Join(s.OneOf, "`, `") + "`"
		}
	}
	bound := func(n int64) string {
		for _, unit := range []struct {
			name  string
			shift int
		}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
			if s.Type == sdk.BytesSetting && n > 0 && n%(1<<unit.shift) == 0 {
				return fmt.Sprintf("%d%s", n>>unit.shift, unit.name)
			}
		}
		return fmt.Sprint(n)
	}
	switch {
	case s.Min != nil && s.Max != nil:
		text += ", " + bound(*s.Min) + " to " + bound(*s.Max)
	case s.Min != nil:
		text += ", at least " + bound(*s.Min)
	case s.Max != nil:
		text += ", at most " + bound(*s.Max)
	}
	return text
}

func meaning(s sdk.Setting) string { return strings.ReplaceAll(s.Doc, "|", `\|`) }
