// Package doctor answers "why is it empty?": it follows the way of a line from the configuration
// over the plugins, the running logger and the queue to the storage, and names the first hop that
// is broken.
//
// It changes nothing: it creates no channel, consumes nothing and stores nothing. It opens a plugin
// only if the plugin is [sdk.Info.Inspectable].
//
// It reads the same environment variables as the logger, and compares them with what a running
// logger tells of its own. A trouble that comes from this environment alone is not blamed on that
// logger. Each hop takes at most [HopTimeout].
package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/host"
	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// HopTimeout bounds the look at one hop.
const HopTimeout = 3 * time.Second

// The hops, in their order.
const (
	hopConfiguration = "configuration"
	hopAggregator    = "aggregator plugin"
	hopStorage       = "storage plugin"
	hopEnvironment   = "environment"
	hopBackend       = "storage"
	hopLogger        = "logger"
	hopLookupd       = "nsqlookupd"
	hopNSQD          = "nsqd"
	hopTopic         = "topic"
	hopChannel       = "channel"
	hopConsumer      = "consumer"
	hopMessages      = "messages"
	hopRejects       = "rejects"
	hopApp           = "app"
)

// Options says what to examine.
type Options struct {
	// App names the app whose lines are missing; empty for all apps.
	App string
	// Lookup gives the environment variables.
	Lookup func(env string) (string, bool)
	// Nearest returns the word that was probably meant, or "".
	Nearest func(word string, words []string) string
}

// doctor holds one examination.
type doctor struct {
	*Report
	lookup func(env string) (string, bool)
	likely func(word string, words []string) string
	host   host.Options
	trust  *plugin.Trust
	survey *plugin.Survey
	logger *loggerView
	// hopTimeout replaces [HopTimeout] while a plugin starts. Tests that are not about time allow
	// more.
	hopTimeout time.Duration
	// settings holds the values of the settings that the plugins declared. The secrets among them
	// are left out; secretNames has their names.
	settings    map[string]string
	secretNames map[sdk.Kind][]string
	// foreign lists, for each kind of plugin, the running logger's settings that differ from this
	// environment.
	foreign map[sdk.Kind][]string
	// untried lists the plugins that could not be launched here.
	untried []sdk.Kind
	// rejected tells which records the logger rejected while it stored others; "" if none.
	rejected string
	// remedy is the advice for most of the rejected records.
	remedy string
}

// Examine looks at every hop. When ctx ends, it returns what it has.
func Examine(ctx context.Context, o Options) *Report {
	d := &doctor{Report: &Report{App: o.App}, lookup: o.Lookup, likely: o.Nearest, hopTimeout: HopTimeout, settings: map[string]string{}, secretNames: map[sdk.Kind][]string{}, foreign: map[sdk.Kind][]string{}}
	for _, env := range []string{"DEIS_LOGGER_REDIS_PASSWORD", "LOGGER_REDIS_SENTINEL_PASSWORD", "NSQ_AUTH_SECRET"} {
		d.keepSecret(d.given(env)) // even if no plugin declares it a secret
	}
	d.keepSecret(plugin.Userinfo(d.given("LOGGER_REDIS_URLS")))
	if d.configuration() {
		d.meetLogger(ctx)
		d.plugins(ctx)
		d.askLogger(ctx)
		d.queue(ctx)
		d.messages()
		d.app()
	}
	d.conclude(d.fine())
	return d.Report
}

func (d *doctor) env(name string) string {
	value, _ := d.lookup(name)
	return value
}

// given returns the value of a plugin's setting, from its variable or its file. If it cannot be
// read, trying the plugin tells so.
func (d *doctor) given(name string) string {
	value, _ := plugin.Given(name, d.lookup)
	return value
}

// configuration reads the logger's own options.
func (d *doctor) configuration() bool {
	const advice = "Correct it: docs/configuration.md has all variables"
	var err error
	if d.host, err = host.LoadOptions(d.lookup); err != nil {
		d.fail(hopConfiguration, "a value is refused", err.Error(), advice)
		return false
	}
	for _, file := range []struct{ env, path string }{
		{"LOGGER_API_TOKENS_FILE", d.host.TokensFile},
		{"LOGGER_SESSION_KEY_FILE", d.host.SessionKeyFile},
		{"LOGGER_RUN_DIR", d.host.RunDir},
	} {
		if file.path == "" {
			continue
		}
		if _, err := os.Stat(file.path); err != nil {
			d.fail(hopConfiguration, "a file or folder is not there", fmt.Sprintf("%s: %v", file.env, err), advice)
			return false
		}
	}
	if d.trust, err = plugin.NewTrust(d.host.Checksums); err != nil {
		d.fail(hopConfiguration, "a file is refused", err.Error(), advice)
		return false
	}
	d.ok(hopConfiguration, "the logger's own settings are valid")
	return true
}

// plugins launches both plugins, which checks their settings, and asks the storage whether its
// backend serves.
func (d *doctor) plugins(ctx context.Context) {
	dir, remove, err := d.folder()
	if err != nil {
		d.unknown(hopStorage, "no folder for a plugin's socket: %v", err)
		d.untried = kinds
		d.assume(sdk.AggregatorKind, d.host.AggregatorType)
		return
	}
	defer remove()
	catalog := plugin.NewCatalog(filepath.SplitList(d.host.PluginPath)...)
	d.survey = plugin.NewSurvey(catalog, d.launch(dir))
	_ = d.survey.Run(ctx) // it fails only if ctx ends, and then the next steps fail too
	for _, p := range d.survey.Found() {
		for _, s := range p.Description.Settings {
			if s.Secret {
				d.keepSecret(d.given(s.Env))
			}
		}
	}
	if t := d.try(ctx, catalog, dir, sdk.AggregatorKind, "AGGREGATOR_TYPE", d.host.AggregatorType); t != nil {
		t.End()
	}
	t := d.try(ctx, catalog, dir, sdk.StorageKind, "STORAGE_ADAPTER", d.host.StorageAdapter)
	d.environment()
	if t == nil {
		d.unknown(hopBackend, "the storage plugin does not run here")
		return
	}
	defer t.End()
	d.backend(ctx, t)
}

// backend asks the storage whether it can do its work.
func (d *doctor) backend(ctx context.Context, t *plugin.Trial) {
	if len(d.foreign[sdk.StorageKind]) > 0 {
		d.unknown(hopBackend, "this environment has another backend than the running logger, so its state tells nothing of the logger's")
		return
	}
	if d.host.StorageAdapter == "memory" {
		d.ok(hopBackend, "lines are in the memory of the running logger")
		return
	}
	if !t.Description().Inspectable {
		d.unknown(hopBackend, "the %s plugin cannot be opened for a look alone, so the running logger's word counts", d.host.StorageAdapter)
		return
	}
	err := t.Check(ctx)
	switch notReady := (*sdk.NotReadyError)(nil); {
	case err == nil:
		d.ok(hopBackend, "%s: it answers and takes writes", d.host.StorageAdapter)
	case d.servesThere(ctx, sdk.StorageKind):
		d.warn(hopBackend, "it does not serve from here: %v; but the running logger says that its own does: %s", err, d.otherwise(sdk.StorageKind))
	case d.ailsThere(ctx, err):
		d.warn(hopBackend, "it does not serve from here: %v; but the running logger gives another reason, see there: %s", err, d.otherwise(sdk.StorageKind))
	case errors.As(err, &notReady):
		culprit, advice := d.explainBackend(ctx, notReady.Reason)
		d.fail(hopBackend, notReady.Reason, culprit, advice)
		d.suspectEnvironment()
	default:
		d.fail(hopBackend, err.Error(), fmt.Sprintf("the %s plugin does not answer its check", d.host.StorageAdapter), "Look at the plugin: it must answer within a second, whatever its backend does")
	}
}

// folder makes a folder for sockets where the logger makes its own: in a container, no other place
// may be writable.
func (d *doctor) folder() (dir string, remove func(), err error) {
	for _, base := range []string{d.host.RunDir, "/dev/shm", os.TempDir()} {
		if base == "" {
			continue
		}
		if dir, remove, err = host.TrialDir(base); err == nil {
			return dir, remove, nil
		}
	}
	return "", nil, err
}

// try finds and launches a plugin. If the plugin cannot be used, try tells so and returns nil.
func (d *doctor) try(ctx context.Context, catalog *plugin.Catalog, dir string, kind sdk.Kind, env, name string) *plugin.Trial {
	hop := kind.String() + " plugin"
	if running, ok := d.logger.plugin(kind); ok && running.Name != name {
		d.foreign[kind] = []string{fmt.Sprintf("%s (the running logger has %s, and this environment says %.80q)", env, running.Name, name)}
		d.unknown(hop, "%.80q is not the one that the running logger has", name)
		return nil
	}
	attachments, _ := d.host.Attachments() // the options were checked when they were read
	exe, at, err := plugin.Find(catalog, attachments, kind, name)
	if err != nil {
		d.unusable(kind, Finding{
			Seen: "not found", Culprit: fmt.Sprintf("%s=%.80q: %v", env, name, err),
			Advice: "Set " + env + " to an installed one, or LOGGER_PLUGIN_PATH to where it is",
		})
		return nil
	}
	o := d.launch(dir)
	o.Executable, o.Lookup, o.Survey, o.Attachment = exe, d.lookup, d.survey, at
	seen, starts, fails := exe.Path, "starts", "does not start"
	advice := "Run `logger plugins check " + name + "`, or choose another with " + env
	if at != nil {
		o.Survey, seen, starts, fails = nil, at.Target, "answers at "+at.Target, "does not answer"
		advice = "Start it there, or correct LOGGER_" + strings.ToUpper(kind.String()) + "_ADDR and the files of its TLS"
	}
	t, err := plugin.Try(ctx, o)
	switch {
	case errors.Is(err, sdk.ErrInvalid):
		d.unusable(kind, Finding{Seen: seen, Culprit: err.Error(), Advice: "Correct it: docs/configuration.md has all variables"})
		return nil
	case err != nil:
		d.untriable(kind, Finding{
			Seen: seen, Culprit: fmt.Sprintf("the %s plugin %s %s: %v", kind, name, fails, err),
			Advice: advice,
		}, err)
		d.assume(kind, name)
		return nil
	}
	description := t.Description()
	var weak []string // too short or plain to be masked
	for _, s := range description.Settings {
		if value, err := plugin.Value(s, d.lookup); s.Secret {
			d.keepSecret(value)
			d.secretNames[kind] = append(d.secretNames[kind], s.Env)
			if value != "" && !maskable(value) {
				weak = append(weak, s.Env)
			}
		} else if err == nil {
			d.settings[s.Env] = value
			d.keepSecret(plugin.Userinfo(value))
		}
	}
	d.compare(kind, description.Settings)
	if len(weak) > 0 {
		d.warn(hop, "%s %s %s, and its settings are valid; but %s is too short or too plain: anybody can guess it, and it cannot be masked where something else prints it",
			name, description.Version, starts, strings.Join(weak, ", "))
		return t
	}
	d.ok(hop, "%s %s %s, and its settings are valid", name, description.Version, starts)
	return t
}

// launch returns the options that launch plugins, with their sockets in dir.
func (d *doctor) launch(dir string) plugin.Options {
	o := plugin.DefaultOptions()
	o.Trust, o.RunDir, o.Logger = d.trust, dir, hclog.NewNullLogger()
	o.StartTimeout, o.StopTimeout = d.hopTimeout-500*time.Millisecond, 250*time.Millisecond
	return o
}

// redisHints tells what to do about errors of Redis, by the code that each begins with. Only advice
// depends on it: an error without a hint is told as it is.
var redisHints = []hint{
	{"WRONGPASS", "Redis refuses the password", "Set DEIS_LOGGER_REDIS_PASSWORD to the one that Redis wants (requirepass)"},
	{"NOAUTH", "Redis wants a password", "Set DEIS_LOGGER_REDIS_PASSWORD to the one that Redis wants (requirepass)"},
	{"OOM", "Redis is full", "Raise its maxmemory, or lower NUMBER_OF_LINES, or delete logs that nobody needs; messages wait in NSQ meanwhile"},
	{"READONLY", "Redis is a read-only replica", "Point DEIS_LOGGER_REDIS_SERVICE_HOST at the master"},
	{"MISCONF", "Redis takes no writes because it cannot save to its disk", "Look at the disk of Redis, and its log"},
	{"LOADING", "Redis is loading its data", "Wait until it is done"},
	{"NOPERM", "the user of Redis may not do what the logger needs", "Give it the keys, channels and commands that docs/operations.md lists (TLS and users)"},
	{"DB index is out of range", "Redis has no such database", "Lower DEIS_LOGGER_REDIS_DB, or raise Redis' `databases`"},
}

type hint struct{ code, culprit, advice string }

// redisHint returns the hint for a reason, if there is one.
func redisHint(reason string) (h hint, ok bool) {
	for _, h := range redisHints {
		if contains(reason, h.code) {
			return h, true
		}
	}
	return h, false
}

// explainBackend returns the likely cause of a storage plugin's reason.
func (d *doctor) explainBackend(ctx context.Context, reason string) (culprit, advice string) {
	host, port := d.settings["DEIS_LOGGER_REDIS_SERVICE_HOST"], d.settings["DEIS_LOGGER_REDIS_SERVICE_PORT"]
	if host == "" {
		host = "localhost"
	}
	if d.host.StorageAdapter != "redis" {
		return fmt.Sprintf("the backend of storage %s does not serve: %s", d.host.StorageAdapter, reason), "Look at that backend, and at the plugin's settings"
	}
	if hint, ok := redisHint(reason); ok {
		return hint.culprit, hint.advice
	}
	addr := net.JoinHostPort(host, port)
	if contains(reason, addr) {
		if err := dial(ctx, addr); err != nil {
			return "Redis cannot be reached: " + why(addr, err), "Start Redis, or correct DEIS_LOGGER_REDIS_SERVICE_HOST and DEIS_LOGGER_REDIS_SERVICE_PORT"
		}
	}
	return "Redis does not serve: " + reason, "Look at Redis, and at its log"
}

// dial reports why nothing takes connections at the address, or nil.
func dial(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: HopTimeout / 2}).DialContext(ctx, "tcp", addr)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

// why explains in words why there was no connection.
func why(addr string, err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("the name %q does not resolve", dns.Name)
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %q could not be looked up", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at " + addr
	case errors.As(err, &timeout) && timeout.Timeout():
		return addr + " does not answer (a firewall, a network policy, or a hung process?)"
	default:
		return fmt.Sprintf("%s: %v", addr, err)
	}
}
