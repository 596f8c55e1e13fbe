package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/deis/logger/sdk"
)

func TestSelectionRefuses(t *testing.T) {
	const good = "app"
	for name, tc := range map[string]struct {
		selection Selection
		want      []string // parts of the error
	}{
		"label with a space":         {Selection{AppLabel: "a b"}, []string{"LOGGER_APP_LABEL", `"a b"`, "app.kubernetes.io/name"}},
		"no label":                   {Selection{}, []string{"LOGGER_APP_LABEL"}},
		"label of two prefixes":      {Selection{AppLabel: "a/b/c"}, []string{"LOGGER_APP_LABEL"}},
		"label without a name":       {Selection{AppLabel: "example.com/"}, []string{"LOGGER_APP_LABEL"}},
		"long label":                 {Selection{AppLabel: strings.Repeat("a", 250) + "/" + strings.Repeat("b", 250)}, []string{"LOGGER_APP_LABEL"}},
		"controller of any name":     {Selection{AppLabel: good, ControllerContainer: ""}, []string{"LOGGER_CONTROLLER_CONTAINER"}},
		"namespace with a slash":     {Selection{AppLabel: good, ControllerContainer: "c", ControllerNamespace: "a/b"}, []string{"LOGGER_CONTROLLER_NAMESPACE", `"a/b"`}},
		"excluded with a slash":      {Selection{AppLabel: good, ControllerContainer: "c", NamespacesExclude: "a, b/c"}, []string{"LOGGER_NAMESPACES_EXCLUDE", `"a, b/c"`}},
		"selector of a set":          {Selection{AppLabel: good, ControllerContainer: "c", LabelSelector: "a in (b)"}, []string{"LOGGER_LABEL_SELECTOR", `"a in (b)"`, "label=value"}},
		"selector of a list":         {Selection{AppLabel: good, ControllerContainer: "c", LabelSelector: "a in (b,c)"}, []string{"LOGGER_LABEL_SELECTOR"}},
		"selector without a label":   {Selection{AppLabel: good, ControllerContainer: "c", LabelSelector: "=b"}, []string{"LOGGER_LABEL_SELECTOR"}},
		"selector with three equals": {Selection{AppLabel: good, ControllerContainer: "c", LabelSelector: "a===b"}, []string{"LOGGER_LABEL_SELECTOR"}},
		"selector that is too long":  {Selection{AppLabel: good, ControllerContainer: "c", LabelSelector: strings.Repeat("a=b,", mostRequirements+1)}, []string{"LOGGER_LABEL_SELECTOR", "at most 8"}},
		"selector with !a=b":         {Selection{AppLabel: good, ControllerContainer: "c", LabelSelector: "!a=b"}, []string{"LOGGER_LABEL_SELECTOR"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.selection.Compile()
			if !errors.Is(err, sdk.ErrInvalid) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s in it", err, want)
				}
			}
		})
	}
}

// TestSelection covers the rows "which pods" and "controller" of the messages that collectors send.
func TestSelection(t *testing.T) {
	const notSelected = string(NotSelected)
	for _, tc := range []struct {
		set                           func(s *Selection)
		namespace, container, members string // members of the labels
		want                          string // the app, or a reason
	}{
		{nil, "foo", "web", `"app":"foo"`, "foo"},
		{func(s *Selection) { s.AppLabel = "team" }, "foo", "web", `"app":"foo","team":"bar"`, "bar"},
		{func(s *Selection) { s.AppLabel = "app.kubernetes.io/name" }, "foo", "web", `"app.kubernetes.io/name":"bar"`, "bar"},
		{func(s *Selection) { s.AppLabel = "app.kubernetes.io/name" }, "foo", "web", `"app_kubernetes_io/name":"bar"`, "bar"},
		{func(s *Selection) { s.AppLabel = "app.kubernetes.io/name" }, "foo", "web", `"app":"foo"`, "no_app"},

		{func(s *Selection) { s.LabelSelector = "heritage=deis" }, "foo", "web", `"app":"foo","heritage":"deis"`, "foo"},
		{func(s *Selection) { s.LabelSelector = " heritage == deis , " }, "foo", "web", `"app":"foo","heritage":"d\u0065is"`, "foo"},
		{func(s *Selection) { s.LabelSelector = "heritage=deis" }, "foo", "web", `"app":"foo","heritage":"helm"`, notSelected},
		{func(s *Selection) { s.LabelSelector = "heritage=deis" }, "foo", "web", `"app":"foo"`, notSelected},
		{func(s *Selection) { s.LabelSelector = "heritage=deis" }, "foo", "web", `"heritage":"helm"`, notSelected}, // takes precedence over no_app
		{func(s *Selection) { s.LabelSelector = "heritage=" }, "foo", "web", `"app":"foo","heritage":""`, "foo"},
		{func(s *Selection) { s.LabelSelector = "heritage!=deis" }, "foo", "web", `"app":"foo"`, "foo"},
		{func(s *Selection) { s.LabelSelector = "heritage!=deis" }, "foo", "web", `"app":"foo","heritage":"deis"`, notSelected},
		{func(s *Selection) { s.LabelSelector = "a.b/c" }, "foo", "web", `"app":"foo","a_b/c":"x"`, "foo"},
		{func(s *Selection) { s.LabelSelector = "a.b/c" }, "foo", "web", `"app":"foo"`, notSelected},
		{func(s *Selection) { s.LabelSelector = "!private" }, "foo", "web", `"app":"foo","private":"x"`, notSelected},
		{func(s *Selection) { s.LabelSelector = "!private" }, "foo", "web", `"app":"foo"`, "foo"},
		{func(s *Selection) { s.LabelSelector = "a=1,b!=2,c,!d" }, "foo", "web", `"app":"foo","a":"1","b":"1","c":"1"`, "foo"},
		{func(s *Selection) { s.LabelSelector = "a=1,b!=2,c,!d" }, "foo", "web", `"app":"foo","a":"1","b":"1"`, notSelected},

		{func(s *Selection) { s.NamespacesExclude = "kube-system, monitoring" }, "monitoring", "web", `"app":"foo"`, notSelected},
		{func(s *Selection) { s.NamespacesExclude = "kube-system, monitoring" }, "monitor", "web", `"app":"foo"`, "foo"},
		{func(s *Selection) { s.NamespacesExclude = "deis" }, "deis", "deis-controller", `"app":"foo"`, notSelected},

		{nil, "any", "x-deis-controller-y", `"app":"foo"`, "bar"},
		{func(s *Selection) { s.ControllerContainer = "drycc" }, "any", "drycc-controller", `"app":"foo"`, "bar"},
		{func(s *Selection) { s.ControllerContainer = "drycc" }, "any", "deis-controller", `"app":"foo"`, "foo"},
		{func(s *Selection) { s.ControllerNamespace = "deis" }, "deis", "deis-controller", ``, "bar"},
		{func(s *Selection) { s.ControllerNamespace = "deis" }, "mine", "x-deis-controller", `"app":"foo"`, "foo"},
		{func(s *Selection) { s.ControllerNamespace = "deis" }, "", "x-deis-controller", ``, "no_app"},
	} {
		s := Selection{AppLabel: "app", ControllerContainer: "deis-controller"}
		if tc.set != nil {
			tc.set(&s)
		}
		if err := s.Compile(); err != nil {
			t.Fatal(err)
		}
		d := testDecoder()
		d.selection = &s
		payload := fmt.Appendf(nil, `{"log":"INFO [bar]: x","kubernetes":{"namespace_name":%q,"container_name":%q,"pod_id":"%0200d","labels":{%s}}}`,
			tc.namespace, tc.container, 1, tc.members)
		for range 2 { // the second time, the container is known
			out := decodeAll(t, d, &sdk.Message{Payload: payload})
			if got := out[0].app + string(out[0].reason); len(out) != 1 || got != tc.want {
				t.Errorf("%s, %+v: got %s, want %s", payload, s, got, tc.want)
			}
		}
		if !looksUp(d, payload) && tc.want != string(BadApp) {
			t.Errorf("%s: not known", payload)
		}
	}
}
