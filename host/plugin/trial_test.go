package plugin

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func TestPluginsFollowTheLevelOfTheLog(t *testing.T) {
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
	opts.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: &strings.Builder{}})
	s, _ := supervise(t, opts)
	inst := wait(t, s)
	if got := ask(t, s, "level"); got != "warn" {
		t.Errorf("level %q, want that of the host's log at the start", got)
	}
	for _, level := range []hclog.Level{hclog.Trace, hclog.Error} {
		opts.Logger.SetLevel(level)
		testwait.Within(t, 20*time.Second, "the plugin follows", func() bool { return ask(t, s, "level") == level.String() })
	}
	if err := inst.plugin.SetLogLevel(t.Context(), "error"); err != nil {
		t.Errorf("again: %v", err)
	}
	if s.Status().Restarts != 0 || wait(t, s) != inst {
		t.Error("it took another process")
	}
	if got := ask(t, s, "settings"); got != "{Word:hello Count:1 Token:}" {
		t.Errorf("its settings are %s now", got)
	}
}

func TestTry(t *testing.T) {
	o := testOptions(t, install(t, sdk.StorageKind, "toy", "inspectable"), nil)
	trial, err := Try(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if d := trial.Description(); d.Name != "toy" || !d.Inspectable || len(d.Settings) != 3 {
		t.Errorf("description %+v", d)
	}
	if notReady := (*sdk.NotReadyError)(nil); !errors.As(trial.Check(t.Context()), &notReady) || notReady.Reason != "backend at nowhere:1 refuses" {
		t.Errorf("check: %v", trial.Check(t.Context()))
	}
	trial.End()
	if opened, _ := os.ReadDir(o.StateDir); len(opened) > 0 {
		t.Error("it was opened for work")
	}
	for mode, want := range map[string]string{
		"exits":              "exit status 3; its last line: cannot open the pod bay doors",
		"silent":             "no handshake",
		"inspectable-broken": "the disk is on fire",
	} {
		o := testOptions(t, install(t, sdk.StorageKind, "toy", mode), nil)
		if mode == "silent" {
			o.StartTimeout /= 10
		}
		if _, err := Try(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", mode, err, want)
		}
	}
	for _, mode := range []string{"toy", "inspectable"} {
		bad := testOptions(t, install(t, sdk.StorageKind, "toy", mode), map[string]string{"TEST_COUNT": "0"})
		if _, err := Try(t.Context(), bad); !errors.Is(err, sdk.ErrInvalid) || !strings.HasPrefix(err.Error(), `TEST_COUNT="0": want`) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestTryWithoutAProcess tells plugins that cannot run in this place from plugins that do not run
// at all.
func TestTryWithoutAProcess(t *testing.T) {
	for name, harm := range map[string]func(*Options){
		"it cannot be executed": func(o *Options) {
			if err := os.WriteFile(o.Executable.Path+"-text", []byte("no program"), 0o700); err != nil {
				t.Fatal(err)
			}
			o.Executable.Path += "-text"
		},
		"no folder for its socket": func(o *Options) { o.RunDir = filepath.Join(o.RunDir, "none") },
	} {
		o := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
		harm(&o)
		if _, err := Try(t.Context(), o); !errors.Is(err, ErrNotStarted) || errors.Is(err, sdk.ErrInvalid) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, mode := range []string{"exits", "inspectable-broken"} {
		o := testOptions(t, install(t, sdk.StorageKind, "toy", mode), nil)
		if _, err := Try(t.Context(), o); err == nil || errors.Is(err, ErrNotStarted) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestTryOpensNothing: opening might change the backend, since the plugin does not say that it can
// be opened just for a look.
func TestTryOpensNothing(t *testing.T) {
	o := testOptions(t, install(t, sdk.StorageKind, "toy", "opens-file"), nil)
	trial, err := Try(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if d := trial.Description(); d.Name != "toy" || d.Inspectable || len(d.Settings) != 3 {
		t.Errorf("description %+v", d)
	}
	_, err = trial.inst.plugin.Configure(t.Context(), sdk.Configuration{StateDir: o.StateDir, Inspect: true})
	if !errors.Is(err, sdk.ErrUnsupported) {
		t.Errorf("opened for a look all the same: %v", err)
	}
	trial.End()
	if opened, _ := os.ReadDir(o.StateDir); len(opened) > 0 {
		t.Error("the implementation was opened")
	}
	if left, _ := os.ReadDir(o.RunDir); len(left) > 0 {
		t.Errorf("left behind: %s", filepath.Join(o.RunDir, left[0].Name()))
	}
}
