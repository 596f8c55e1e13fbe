package plugin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/deis/logger/sdk"
)

func TestFingerprint(t *testing.T) {
	one := Fingerprint("A", "x")
	for _, other := range []string{Fingerprint("A", "y"), Fingerprint("B", "x"), Fingerprint("A", "")} {
		if other == one {
			t.Errorf("%s is that of another value, too", one)
		}
	}
	if len(one) != 4 || Fingerprint("A", "x") != one {
		t.Errorf("got %q: want four digits, the same in each process", one)
	}
}

// TestStatusTellsSettingsApart without telling values, or anything of a secret.
func TestStatusTellsSettingsApart(t *testing.T) {
	env := map[string]string{"TEST_WORD": "swordfish", "TEST_TOKEN": "hush"}
	s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), env))
	inst := wait(t, s)
	status := s.Status()
	for _, setting := range inst.Description.Settings {
		value, err := setting.Value(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		if err != nil {
			t.Fatal(err)
		}
		want := Fingerprint(setting.Env, value)
		if setting.Secret {
			want = ""
		}
		if got := status.Settings[setting.Env]; got != want {
			t.Errorf("%s: %q, want %q", setting.Env, got, want)
		}
	}
	text, err := json.Marshal(status)
	if err != nil || strings.Contains(string(text), "TOKEN") || strings.Contains(string(text), "swordfish") || !strings.Contains(string(text), "TEST_") {
		t.Errorf("%s, %v", text, err)
	}
}
