package plugintest

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/metrics"
)

// Executable names a plugin's program under test.
type Executable struct {
	Path string
	Kind sdk.Kind
	// Settings returns the settings of a check's process, by environment name.
	Settings func(t T) map[string]string
}

// Start launches the executable until the end of a check. The plugin is not configured yet.
func (e Executable) Start(t T) *Plugin {
	t.Helper()
	p, err := Launch(t.Context(), e.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// validName matches what may stand for NAME in logger-KIND-NAME, and validEnv the name of a
// setting.
var (
	validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`)
	validEnv  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// Checks returns the obligations of every plugin's process, whatever its kind.
func (e Executable) Checks() []Check {
	return []Check{
		{"Describe", e.describe},
		{"Unconfigured", e.unconfigured},
		{"Metrics", e.metrics},
		{"Shutdown", e.shutdown},
		{"Lifeline", e.lifeline},
	}
}

// describe: the plugin's description is complete, and fits its file's name.
func (e Executable) describe(t T) {
	p := e.Start(t)
	d := p.Description
	if d.Kind != e.Kind {
		t.Errorf("kind is %s, want %s", d.Kind, e.Kind)
	}
	if !validName.MatchString(d.Name) {
		t.Errorf("name is %q, want %s", d.Name, validName)
	}
	base := filepath.Base(e.Path)
	if name, ok := strings.CutPrefix(base, "logger-"); ok && name != d.Kind.String()+"-"+d.Name {
		t.Errorf("the file is called %s and the plugin logger-%s-%s: no host would find it", base, d.Kind, d.Name)
	}
	if strings.ContainsAny(d.Version+d.Doc, "\r\n") {
		t.Errorf("version %q and doc %q must be one line each", d.Version, d.Doc)
	}
	seen := map[string]bool{}
	for _, s := range d.Settings {
		if !validEnv.MatchString(s.Env) {
			t.Errorf("setting %q is no name for an environment variable", s.Env)
		}
		if seen[s.Env] {
			t.Errorf("setting %s is declared twice", s.Env)
		}
		seen[s.Env] = true
		if s.Doc == "" || strings.ContainsAny(s.Doc, "\r\n") {
			t.Errorf("setting %s: doc is %q, want one line", s.Env, s.Doc)
		}
		if !s.Required {
			if err := s.Check(s.Default); err != nil {
				t.Errorf("its own default is refused: %v", err)
			}
		}
	}
}

// unconfigured: a call before Configure fails, and the process goes on.
func (e Executable) unconfigured(t T) {
	p := e.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Calls.Check(ctx); err == nil {
		t.Error("a plugin that is not configured says that it is ready")
	}
	if d, err := p.Calls.Describe(ctx); err != nil || d.Name != p.Description.Name {
		t.Errorf("Describe after that: %q, %v", d.Name, err)
	}
	e.Configure(t, p, "")
}

// metricsPatience bounds how long an answer of Metrics may take: a host waits no longer.
const metricsPatience = time.Second

// metrics: a host accepts the plugin's own metrics, each time, and they come in time.
func (e Executable) metrics(t T) {
	p := e.Start(t)
	if !e.Configure(t, p, "").Metrics {
		t.Skipf("the plugin does not announce CAPABILITY_METRICS")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 2 {
		began := time.Now()
		text, err := p.Calls.Metrics(ctx)
		if err != nil {
			t.Fatalf("Metrics: %v", err)
		}
		if took := time.Since(began); took > metricsPatience {
			t.Errorf("Metrics took %s, although a host waits for a second", took)
		}
		if _, err := metrics.Parse(text); err != nil {
			t.Fatalf("a host would leave the metrics out: %v", err)
		}
	}
}

// shutdown: the plugin answers Shutdown, so that a host need not wait before it ends the process.
func (e Executable) shutdown(t T) {
	p := e.Start(t)
	e.Configure(t, p, "")
	ctx, cancel := context.WithTimeout(t.Context(), closePatience)
	defer cancel()
	if err := p.Calls.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// lifeline: the process ends by itself when its host is gone.
func (e Executable) lifeline(t T) {
	p := e.Start(t)
	e.Configure(t, p, "")
	if err := p.EndWithHost(); err != nil {
		t.Error(err)
	}
}

// Configure configures the plugin with the check's settings.
func (e Executable) Configure(t T, p *Plugin, stateDir string) sdk.Capabilities {
	t.Helper()
	var settings map[string]string
	if e.Settings != nil {
		settings = e.Settings(t)
	}
	caps, err := p.Configure(t.Context(), settings, stateDir)
	if err != nil {
		t.Fatal(err)
	}
	return caps
}

// Ready waits until the plugin says that its backend serves.
func (e Executable) Ready(t T, p *Plugin) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := p.Calls.Check(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready within %s: %v; %s", patience, err, p.Said())
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
