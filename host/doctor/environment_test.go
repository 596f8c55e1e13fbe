package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// declared lists what the plugins of these tests declare.
var declared = map[sdk.Kind][]sdk.Setting{
	sdk.AggregatorKind: {{Env: "NSQ_TOPIC", Type: sdk.StringSetting, Default: "logs"}, {Env: "NSQ_AUTH_SECRET", Type: sdk.StringSetting, Secret: true}},
	sdk.StorageKind:    {{Env: "DEIS_LOGGER_REDIS_SERVICE_HOST", Type: sdk.StringSetting}, {Env: "DEIS_LOGGER_REDIS_DB", Type: sdk.StringSetting, Default: "0"}, {Env: "DEIS_LOGGER_REDIS_PASSWORD", Type: sdk.StringSetting, Secret: true}},
}

// having returns the status of a running logger's plugin with those settings.
func having(kind sdk.Kind, name string, settings map[string]string) plugin.Status {
	p := plugin.Status{Kind: kind.String(), Name: name, State: plugin.Ready, Settings: map[string]string{}}
	for env, value := range settings {
		p.Settings[env] = plugin.Fingerprint(env, value)
	}
	return p
}

func TestEnvironmentsAreToldApart(t *testing.T) {
	redis := map[string]string{"DEIS_LOGGER_REDIS_SERVICE_HOST": "redis", "DEIS_LOGGER_REDIS_DB": "0"}
	for _, tc := range []struct {
		name   string
		env    map[string]string
		topic  string // of the running logger
		status Status
		seen   string
	}{
		{"the same", map[string]string{"DEIS_LOGGER_REDIS_SERVICE_HOST": "redis"}, "logs", OK, "the running logger has the same settings"},
		{"a default that is set", map[string]string{"DEIS_LOGGER_REDIS_SERVICE_HOST": "redis", "DEIS_LOGGER_REDIS_DB": "0"}, "logs", OK, "the running logger has the same settings"},
		{"empty", nil, "logs", Warning, "it is not the running logger's: DEIS_LOGGER_REDIS_SERVICE_HOST (not set here). Run this"},
		{"one differs", map[string]string{"DEIS_LOGGER_REDIS_SERVICE_HOST": "localhost"}, "logs", Warning, `it is not the running logger's: DEIS_LOGGER_REDIS_SERVICE_HOST (here "localhost"). Run this`},
		{"both kinds differ", map[string]string{"DEIS_LOGGER_REDIS_SERVICE_HOST": "redis", "DEIS_LOGGER_REDIS_DB": "1"}, "log", Warning, `it is not the running logger's: NSQ_TOPIC (not set here), DEIS_LOGGER_REDIS_DB (here "1"). Run this`},
		{"a secret differs", map[string]string{"DEIS_LOGGER_REDIS_SERVICE_HOST": "redis", "DEIS_LOGGER_REDIS_PASSWORD": "x"}, "logs", OK, "the running logger has the same settings (secrets are not compared)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := examiner(tc.env, nil)
			d.logger.plugins = []plugin.Status{
				having(sdk.AggregatorKind, "nsq", map[string]string{"NSQ_TOPIC": tc.topic}), having(sdk.StorageKind, "redis", redis),
			}
			for _, kind := range kinds {
				d.compare(kind, declared[kind])
			}
			d.environment()
			if f := d.last(); f.Hop != hopEnvironment || f.Status != tc.status || !strings.HasPrefix(f.Seen, tc.seen) {
				t.Errorf("got  %+v\nwant %s %s", f, tc.status, tc.seen)
			}
		})
	}
	t.Run("another name of the same host", func(t *testing.T) {
		setting := []sdk.Setting{{Env: "DEIS_NSQD_SERVICE_HOST", Type: sdk.StringSetting}}
		for theirs, want := range map[string]string{"127.0.0.1": "", "localhost": "", "nsqd": "DEIS_NSQD_SERVICE_HOST (not set here)"} {
			d := examiner(nil, nil)
			d.logger.plugins = []plugin.Status{having(sdk.AggregatorKind, "nsq", map[string]string{"DEIS_NSQD_SERVICE_HOST": theirs})}
			d.compare(sdk.AggregatorKind, setting)
			if got := d.differences(); got != want {
				t.Errorf("the logger has %s: %q, want %q", theirs, got, want)
			}
		}
	})
	t.Run("an older logger", func(t *testing.T) {
		d := examiner(nil, nil)
		d.logger.plugins = []plugin.Status{{Kind: "storage", Name: "redis"}}
		d.compare(sdk.StorageKind, declared[sdk.StorageKind])
		if d.environment(); d.last().Status != Unknown || !strings.Contains(d.last().Seen, "does not tell its environment") {
			t.Errorf("got %+v", d.last())
		}
	})
	t.Run("an aggregator whose defaults are not known", func(t *testing.T) {
		d := examiner(map[string]string{"HTTP_ADDR": ":1"}, nil)
		d.logger.plugins = []plugin.Status{having(sdk.AggregatorKind, "http", map[string]string{"HTTP_ADDR": ":2", "HTTP_MAX": "3"})}
		d.compareGiven(sdk.AggregatorKind)
		if got := d.differences(); got != `HTTP_ADDR (here ":1")` {
			t.Errorf("got %s", got)
		}
	})
}

// TestWhoIsToBlameForAnEmptyLog: if another environment kept the doctor from examining the hops,
// the environment is to blame, unless another hop is known to be broken.
func TestWhoIsToBlameForAnEmptyLog(t *testing.T) {
	for _, tc := range []struct {
		name    string
		foreign []string
		broken  bool
		want    string
	}{
		{"the same", nil, false, "app: nothing is kept of any app. "},
		{"another", []string{"NSQ_TOPIC (not set here)"}, false, "environment: this environment is not the running logger's, so the cause cannot be seen from here: NSQ_TOPIC (not set here). Run this"},
		{"another, and the logger is broken", []string{"NSQ_TOPIC (not set here)"}, true, "logger: it is broken. Mend it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := examiner(nil, nil)
			if tc.foreign != nil {
				d.foreign[sdk.AggregatorKind] = tc.foreign
			}
			d.environment()
			if tc.broken {
				d.fail(hopLogger, "", "it is broken", "Mend it")
			}
			d.app()
			if d.conclude(""); !strings.HasPrefix(d.Verdict, tc.want) {
				t.Errorf("got  %s\nwant %s", d.Verdict, tc.want)
			}
		})
	}
}

// TestListIsOlderThanTheAnswer: if an app's lines are served, the app has lines, even if the older
// list of apps does not say so.
func TestListIsOlderThanTheAnswer(t *testing.T) {
	for _, list := range [][]appView{nil, {{App: "other", Entries: 1}}} {
		d := examiner(nil, nil)
		d.App, d.logger.status, d.logger.apps = "foo", http.StatusOK, list
		if d.app(); d.last().Status != OK || !strings.Contains(d.last().Seen, `"foo": lines are kept`) {
			t.Errorf("got %+v", d.last())
		}
	}
}

func TestAnEmptyEnvironmentIsSuspected(t *testing.T) {
	for env, want := range map[string]Status{"": Fail, "DEIS_LOGGER_REDIS_SERVICE_HOST": Unknown, "DEIS_LOGGER_REDIS_PASSWORD": Unknown, "STORAGE_ADAPTER": Unknown} {
		d := examiner(map[string]string{env: "redis"}, map[string]string{"DEIS_LOGGER_REDIS_SERVICE_HOST": "", "NSQ_TOPIC": "logs"})
		d.secretNames[sdk.StorageKind] = []string{"DEIS_LOGGER_REDIS_PASSWORD"}
		d.logger.err = errNoLogger
		d.environment()
		d.suspectEnvironment()
		if f := d.last(); f.Hop != hopEnvironment || f.Status != want {
			t.Errorf("with %q set: %+v, want %s", env, f, want)
		}
	}
}

// TestAddressesAreShownWithoutPasswords: some addresses contain a password where none belongs.
func TestAddressesAreShownWithoutPasswords(t *testing.T) {
	d := examiner(map[string]string{"LOGGER_REDIS_URLS": "redis://:hunter2@redis"}, nil)
	d.logger.plugins = []plugin.Status{having(sdk.StorageKind, "redis", map[string]string{"LOGGER_REDIS_URLS": "redis"})}
	d.compare(sdk.StorageKind, []sdk.Setting{{Env: "LOGGER_REDIS_URLS", Type: sdk.StringSetting}})
	d.compareGiven(sdk.StorageKind)
	if got := d.foreign[sdk.StorageKind]; len(got) != 2 || strings.Contains(fmt.Sprint(got), "hunter2") {
		t.Errorf("got %q", got)
	}
}

// TestPluginsThatCannotBeTriedHere: if plugins cannot be tried, for instance for lack of memory,
// that does not count as another environment, and the queue is examined all the same.
func TestPluginsThatCannotBeTriedHere(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	for _, name := range []string{"logger-aggregator-nsq", "logger-storage-redis"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no program"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name   string
		state  plugin.State // of the running logger's plugin; "" if no logger runs
		status Status
	}{
		{"it serves", plugin.Ready, Warning},
		{"it does not run there either", plugin.BackingOff, Warning}, // the logger tells why
		{"no logger", "", Fail},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := examiner(nil, map[string]string{})
			for kind, settings := range map[sdk.Kind]map[string]string{
				sdk.AggregatorKind: {"NSQ_TOPIC": "logs"}, sdk.StorageKind: {"DEIS_LOGGER_REDIS_DB": "1"},
			} {
				if p := having(kind, map[sdk.Kind]string{sdk.AggregatorKind: "nsq", sdk.StorageKind: "redis"}[kind], settings); tc.state != "" {
					p.State = tc.state
					d.logger.plugins = append(d.logger.plugins, p)
				} else {
					d.logger.err = errNoLogger
				}
			}
			d.host.PluginPath, d.host.RunDir = dir, t.TempDir()
			d.plugins(t.Context())
			for _, hop := range []string{hopAggregator, hopStorage} {
				i := slices.IndexFunc(d.Findings, func(f Finding) bool { return f.Hop == hop })
				if i < 0 || d.Findings[i].Status != tc.status || tc.status == Warning && !strings.HasPrefix(d.Findings[i].Seen, "it could not be tried here: ") {
					t.Errorf("%s: %+v", hop, d.Findings)
				}
			}
			if len(d.foreign) > 0 || d.settings["NSQ_TOPIC"] != "logs" || d.settings["DEIS_NSQD_SERVICE_PORT_TRANSPORT"] != "4150" {
				t.Errorf("foreign %v, settings %v", d.foreign, d.settings)
			}
		})
	}
}

// TestWhatAilsThere: the running logger's storage may have another trouble than the one seen here.
func TestWhatAilsThere(t *testing.T) {
	for name, tc := range map[string]struct {
		state, here, there string
		want               bool
	}{
		"the same":         {"degraded", "redis at a:1: WRONGPASS invalid", "redis at a:1: WRONGPASS invalid", false},
		"another":          {"degraded", "redis at a:1: WRONGPASS invalid", "redis at a:1: OOM command not allowed", true},
		"many words of it": {"degraded", "redis at a:1: connection refused", "redis at a:1: EOF", false},
		"no process":       {"backing off", "redis at a:1: WRONGPASS invalid", "it crashed", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := strings.Replace(readyz(tc.state, "ready", 5, 0), "so it is", tc.there, 1)
			d := examiner(map[string]string{"LOGGER_URL": pretend(t, map[string]string{"/readyz": answer})}, nil)
			d.meetLogger(t.Context())
			if got := d.ailsThere(t.Context(), &sdk.NotReadyError{Reason: tc.here}); got != tc.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// TestWhatServesThere waits until the running logger notices what broke just now.
func TestWhatServesThere(t *testing.T) {
	for name, tc := range map[string]struct {
		states []string // one after the other; the last one stays
		want   bool
	}{
		"it does":               {[]string{"ready"}, true},
		"it does not":           {[]string{"degraded"}, false},
		"it has not yet seen":   {[]string{"ready", "ready", "degraded"}, false},
		"its process ends":      {[]string{"ready", "backing off"}, false},
		"the logger ends, then": {[]string{"ready", ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				state := tc.states[min(int(asked.Add(1)), len(tc.states))-1]
				if state == "" {
					http.Error(w, "gone", http.StatusBadGateway)
					return
				}
				_, _ = fmt.Fprint(w, readyz(state, "ready", 5, 0))
			}))
			defer s.Close()
			d := examiner(map[string]string{"LOGGER_URL": s.URL}, nil)
			d.meetLogger(t.Context())
			if got := d.servesThere(t.Context(), sdk.StorageKind); got != tc.want {
				t.Errorf("got %t after %d answers", got, asked.Load())
			}
		})
	}
}
