package host_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/deis/logger/host"
	"github.com/deis/logger/sdk"
)

// TestOptionsRefuse what says which lines are whose: with one line that names the variable.
func TestOptionsRefuse(t *testing.T) {
	for name, value := range map[string]string{
		"LOGGER_APP_LABEL":            "a b",
		"LOGGER_LABEL_SELECTOR":       "heritage in (deis)",
		"LOGGER_NAMESPACES_EXCLUDE":   "kube-system,*",
		"LOGGER_CONTROLLER_NAMESPACE": "deis/x",
		"LOGGER_CONTROLLER_NAME":      "x[controller]: ",
	} {
		_, err := host.LoadOptions(func(env string) (string, bool) {
			if env != name {
				return "", false
			}
			return value, true
		})
		if !errors.Is(err, sdk.ErrInvalid) || !strings.HasPrefix(err.Error(), name+"=") || !strings.Contains(err.Error(), "want ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestOptionsByDefault(t *testing.T) {
	o, err := host.LoadOptions(func(string) (string, bool) { return "", false })
	if err != nil || o.AppLabel != "app" || o.ControllerContainer != "deis-controller" || o.ControllerName != "deis" ||
		o.LabelSelector+o.NamespacesExclude+o.ControllerNamespace != "" {
		t.Errorf("%+v, %v", o, err)
	}
}
