package plugin

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// surveyed returns the options of a plugin that is installed beside others, with a running survey.
func surveyed(t *testing.T, exe Executable, others ...Executable) Options {
	t.Helper()
	o := testOptions(t, exe, map[string]string{"TEST_TOKEN": "hunter2"})
	dirs := []string{filepath.Dir(exe.Path)}
	for _, other := range others {
		dirs = append(dirs, filepath.Dir(other.Path))
	}
	o.Survey = NewSurvey(NewCatalog(dirs...), o)
	if err := o.Survey.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return o
}

// endOf returns the supervisor's result, which comes soon.
func endOf(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on after 20 s")
		return nil
	}
}

// TestSecretIsForItsOwnerAlone: a plugin that declares another's secret, in whatever form, is
// refused. The owner gets it.
func TestSecretIsForItsOwnerAlone(t *testing.T) {
	toy := install(t, sdk.StorageKind, "toy", "toy")
	thief, rival := install(t, sdk.StorageKind, "thief", "thief"), install(t, sdk.StorageKind, "rival", "rival")
	broken := install(t, sdk.StorageKind, "broken", "exits")
	for name, tc := range map[string]struct {
		exe    Executable
		others []Executable
		owner  string // the plugin that the line names; "" if the plugin gets the secret
	}{
		"the owner":                    {toy, []Executable{thief, broken}, ""},
		"as a text":                    {thief, []Executable{toy}, "storage-toy"},
		"as a text, with nobody else":  {thief, []Executable{broken}, ""},
		"as a secret":                  {rival, []Executable{toy}, "storage-toy"},
		"one that another claims, too": {toy, []Executable{rival}, "storage-rival"},
		"a secret of two":              {thief, []Executable{toy, rival}, "storage-rival and storage-toy"},
	} {
		t.Run(name, func(t *testing.T) {
			s, ended := supervise(t, surveyed(t, tc.exe, tc.others...))
			if tc.owner == "" {
				wait(t, s)
				if got := ask(t, s, "settings"); !strings.Contains(got, "Token:hunter2") {
					t.Errorf("its settings are %s", got)
				}
				return
			}
			err := endOf(t, ended)
			want := "plugin " + tc.exe.String() + " declares TEST_TOKEN, which is a secret of plugin " + tc.owner + ": want "
			if !errors.Is(err, sdk.ErrInvalid) || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
	for _, try := range []func(context.Context, Options) (*Trial, error){Try, Open} {
		if _, err := try(t.Context(), surveyed(t, thief, toy)); !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), "a secret of plugin storage-toy") {
			t.Errorf("a trial: %v", err)
		}
	}
}

// TestPluginsWaitForTheSurvey: no setting is handed over before its owner is known.
func TestPluginsWaitForTheSurvey(t *testing.T) {
	toy, thief := install(t, sdk.StorageKind, "toy", "toy"), install(t, sdk.StorageKind, "thief", "thief")
	o := testOptions(t, thief, map[string]string{"TEST_TOKEN": "hunter2"})
	o.Survey = NewSurvey(NewCatalog(filepath.Dir(toy.Path)), o)
	validated := make(chan error, 1)
	o.Validated = func(_ context.Context, err error) { validated <- err }
	_, ended := supervise(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Survey.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a survey that is ended: %v", err)
	}
	select {
	case err := <-validated:
		t.Errorf("its settings were looked at before the survey: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := o.Survey.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := endOf(t, ended); !errors.Is(err, sdk.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// TestSurvey: the survey knows each installed plugin. A plugin that cannot be asked is reported.
func TestSurvey(t *testing.T) {
	toy, broken := install(t, sdk.StorageKind, "toy", "toy"), install(t, sdk.AggregatorKind, "broken", "exits")
	o := testOptions(t, toy, nil)
	var log strings.Builder
	o.Logger = hclog.New(&hclog.LoggerOptions{Output: &log})
	s := NewSurvey(NewCatalog(filepath.Dir(broken.Path), filepath.Dir(toy.Path)), o)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := s.Found()
	if len(found) != 2 || found[0].Executable != toy || found[0].Err != nil || found[0].Protocol != sdk.ProtocolVersion ||
		found[0].Checksum != SumUnchecked || len(found[0].Description.Settings) != 3 {
		t.Fatalf("found %+v", found)
	}
	const why = "exit status 3; its last line: cannot open the pod bay doors"
	if found[1].Executable != broken || found[1].Err == nil || !strings.Contains(found[1].Err.Error(), why) {
		t.Errorf("found %+v", found[1])
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "aggregator-broken") || !strings.Contains(text, why) {
		t.Errorf("the log: %s", text)
	}
}

func TestSecretOnceIsSecretAlways(t *testing.T) {
	settings := []sdk.Setting{{Env: "A"}, {Env: "B"}, {Env: "A", Secret: true}, {Env: "A"}}
	hideSecrets(settings)
	for i, want := range []bool{true, false, true, true} {
		if settings[i].Secret != want {
			t.Errorf("setting %d: secret is %t, want %t", i, !want, want)
		}
	}
}

// TestOpen opens a plugin for work. If nobody gives a name, the file may have any name.
func TestOpen(t *testing.T) {
	exe := install(t, sdk.StorageKind, "toy", "opens-file")
	for name, at := range map[string]Executable{"by its name": exe, "by its path": {Path: exe.Path}} {
		o := testOptions(t, at, nil)
		trial, err := Open(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := trial.Description(); d.Kind != sdk.StorageKind || d.Name != "toy" {
			t.Errorf("%s: description %+v", name, d)
		}
		if opened, _ := filepath.Glob(filepath.Join(o.StateDir, "opened")); len(opened) != 1 {
			t.Errorf("%s: it was not opened", name)
		}
		if stray := trial.Stray(); stray != "" {
			t.Errorf("%s: a stray line %q", name, stray)
		}
		trial.End()
	}
	o := testOptions(t, Executable{Path: exe.Path, Kind: sdk.AggregatorKind}, nil)
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), `is storage plugin "toy", not aggregator plugin "toy"`) {
		t.Errorf("of another kind: %v", err)
	}
}

// TestStrayLineIsTold: a host tolerates a line on stdout before the handshake, and reports it.
func TestStrayLineIsTold(t *testing.T) {
	trial, err := Open(t.Context(), testOptions(t, install(t, sdk.StorageKind, "toy", "noise"), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer trial.End()
	if got := trial.Stray(); got != "some library greets you" {
		t.Errorf("got %q", got)
	}
}
