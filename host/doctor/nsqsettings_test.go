package doctor

import (
	"testing"

	"github.com/deis/logger/plugins/nsq"
	"github.com/deis/logger/sdk"
)

// TestSettingsOfNSQAreThePlugins: the defaults that the doctor assumes when it cannot ask the nsq
// plugin are those that the plugin declares.
func TestSettingsOfNSQAreThePlugins(t *testing.T) {
	settings, err := sdk.DeclareSettings[nsq.Settings]()
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]sdk.Setting{}
	for _, s := range settings {
		declared[s.Env] = s
	}
	none := func(string) (string, bool) { return "", false }
	for _, s := range nsqSettings {
		theirs, ok := declared[s.Env]
		if !ok {
			t.Errorf("the plugin declares no %s", s.Env)
			continue
		}
		ours, err := s.Value(none)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := theirs.Value(none); err != nil || ours != want {
			t.Errorf("%s is %q by default, for the plugin %q (%v)", s.Env, ours, want, err)
		}
	}
}
