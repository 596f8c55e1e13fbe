package plugin

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

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
		until(t, "the plugin follows", func() bool { return ask(t, s, "level") == level.String() })
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
	sick := testOptions(t, install(t, sdk.StorageKind, "toy", "sick"), nil)
	trial, err := Try(t.Context(), sick, true)
	if err != nil {
		t.Fatal(err)
	}
	if d := trial.Description(); d.Name != "toy" || len(d.Settings) != 3 {
		t.Errorf("description %+v", d)
	}
	if notReady := (*sdk.NotReadyError)(nil); !errors.As(trial.Check(t.Context()), &notReady) || notReady.Reason != "backend at nowhere:1 refuses" {
		t.Errorf("check: %v", trial.Check(t.Context()))
	}
	trial.End()
	for mode, want := range map[string]string{
		"exits":       "exit status 3; its last line: cannot open the pod bay doors",
		"silent":      "no handshake",
		"broken-open": "the disk is on fire",
	} {
		o := testOptions(t, install(t, sdk.StorageKind, "toy", mode), nil)
		if mode == "silent" {
			o.StartTimeout /= 10
		}
		if _, err := Try(t.Context(), o, true); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", mode, err, want)
		}
	}
	bad := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), map[string]string{"TEST_COUNT": "0"})
	for _, configure := range []bool{true, false} {
		if _, err := Try(t.Context(), bad, configure); !errors.Is(err, sdk.ErrInvalid) || !strings.HasPrefix(err.Error(), `TEST_COUNT="0": want`) {
			t.Errorf("%v: %v", configure, err)
		}
	}
}

// TestTryWithoutAProcess tells what this place cannot run from what does not run.
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
		if _, err := Try(t.Context(), o, true); !errors.Is(err, ErrNotStarted) || errors.Is(err, sdk.ErrInvalid) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, mode := range []string{"exits", "broken-open"} {
		o := testOptions(t, install(t, sdk.StorageKind, "toy", mode), nil)
		if _, err := Try(t.Context(), o, true); err == nil || errors.Is(err, ErrNotStarted) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestTryWithoutConfiguring opens nothing.
func TestTryWithoutConfiguring(t *testing.T) {
	o := testOptions(t, install(t, sdk.StorageKind, "toy", "opens-file"), nil)
	trial, err := Try(t.Context(), o, false)
	if err != nil {
		t.Fatal(err)
	}
	if opened, _ := os.ReadDir(o.StateDir); len(opened) > 0 {
		t.Error("the implementation was opened")
	}
	if d := trial.Description(); d.Name != "" {
		t.Errorf("description %+v of a plugin that has ended", d)
	}
	trial.End()
	if left, _ := os.ReadDir(o.RunDir); len(left) > 0 {
		t.Errorf("left behind: %s", filepath.Join(o.RunDir, left[0].Name()))
	}
}
