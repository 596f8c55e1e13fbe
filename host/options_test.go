package host_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/deis/logger/host"
	"github.com/deis/logger/sdk"
)

// TestOptionsRefuse: settings that map lines to apps are refused with one line that names the
// variable.
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

// TestAttachments: one variable attaches a plugin. The variable for debugging does so only where
// that is allowed.
func TestAttachments(t *testing.T) {
	const reattach = `{"storage-redis":{"Protocol":"grpc","ProtocolVersion":1,"Pid":7,"Test":true,"Addr":{"Network":"unix","String":"/s"}}}`
	load := func(env map[string]string) (host.Options, error) {
		return host.LoadOptions(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	}
	for name, tc := range map[string]struct {
		env  map[string]string
		want string
	}{
		"outside logger dev": {
			map[string]string{"LOGGER_PLUGIN_REATTACH": reattach}, "want it unset, or LOGGER_PLUGIN_REATTACH_ALLOW=true",
		},
		"in two ways": {
			map[string]string{"LOGGER_PLUGIN_REATTACH": reattach, "LOGGER_PLUGIN_REATTACH_ALLOW": "true", "LOGGER_STORAGE_ADDR": "unix:///s"},
			"LOGGER_PLUGIN_REATTACH and LOGGER_STORAGE_ADDR are both set for storage-redis",
		},
		"a plugin that is not used": {
			map[string]string{"LOGGER_PLUGIN_REATTACH": reattach, "LOGGER_PLUGIN_REATTACH_ALLOW": "true", "STORAGE_ADAPTER": "memory"},
			"this logger uses storage-memory and aggregator-nsq",
		},
		"over the network": {map[string]string{"LOGGER_AGGREGATOR_ADDR": "dns:///far.example:1"}, "LOGGER_AGGREGATOR_TLS_CERT_FILE"},
	} {
		if _, err := load(tc.env); !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	o, err := load(map[string]string{
		"LOGGER_PLUGIN_REATTACH": reattach, "LOGGER_PLUGIN_REATTACH_ALLOW": "true", "LOGGER_AGGREGATOR_ADDR": "unix:///a",
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := o.Attachments()
	if err != nil || all["storage-redis"].Target != "unix:///s" || !all["storage-redis"].Debug || all["aggregator-nsq"].Target != "unix:///a" {
		t.Errorf("%+v, %v", all, err)
	}
}
