package host

import (
	"errors"
	"strings"
	"testing"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// TestSecretsOfTheHostAreForNoPlugin: a plugin does not get them by declaring them.
func TestSecretsOfTheHostAreForNoPlugin(t *testing.T) {
	settings, err := sdk.DeclareSettings[Options]()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range settings {
		if !s.Secret && !strings.HasSuffix(s.Env, "TOKENS_FILE") && !strings.HasSuffix(s.Env, "KEY_FILE") {
			continue
		}
		n++
		err := (*plugin.Survey)(nil).Refuse(sdk.Setting{Env: s.Env}, plugin.Executable{Kind: sdk.StorageKind, Name: "redis"})
		if !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), "which is for the logger alone") {
			t.Errorf("%s: %v", s.Env, err)
		}
	}
	if n < 2 {
		t.Errorf("only %d secrets of the host", n)
	}
}
