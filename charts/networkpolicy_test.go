package charts

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/internal/charttest"
)

// policy says what a NetworkPolicy lets through.
type policy struct {
	Spec struct {
		Ingress []struct {
			From  []peer
			Ports []port
		}
		Egress []struct {
			To    []peer
			Ports []port
		}
	}
}

type port struct {
	Protocol string
	Port     string
}

type peer struct {
	NamespaceSelector *selector `yaml:"namespaceSelector"`
	PodSelector       *selector `yaml:"podSelector"`
}

type selector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

// TestPolicyLetsOut checks where the logger's pod may connect to: to everything that the logger,
// and logger doctor beside it, asks, and to nothing else. If the values list nsqd or nsqlookupd,
// the ports are those in the list.
func TestPolicyLetsOut(t *testing.T) {
	t.Parallel()
	dns, onCluster := []string{"UDP 53", "TCP 53"}, "TCP redis"
	for name, tc := range map[string]struct {
		values string
		want   []string
	}{
		"defaults":                     {``, []string{"TCP 4150", "TCP 4151", onCluster}},
		"another port of nsqd":         {`nsq: {port: 14150}`, []string{"TCP 14150", "TCP 4151", onCluster}},
		"several nsqd":                 {`nsq: {nsqd: ["a:4150", "b:4160"]}`, []string{"TCP 4150", "TCP 4160", "TCP 4151", onCluster}},
		"nsqlookupd":                   {`nsq: {lookupd: ["a:4161", "b:4161"]}`, []string{"TCP 4161", "TCP 4150", "TCP 4151", onCluster}},
		"nsqlookupd and nsqd":          {`nsq: {lookupd: ["a:4161"], nsqd: ["b:4160"]}`, []string{"TCP 4161", "TCP 4160", "TCP 4150", "TCP 4151", onCluster}},
		"an HTTP side somewhere else":  {`settings: {LOGGER_DOCTOR_NSQD_HTTP: "a:5151, b:5152"}`, []string{"TCP 4150", "TCP 5151", "TCP 5152", "TCP 4151", onCluster}},
		"a Redis somewhere else":       {`redis: {onCluster: false, existingSecret: far, ports: [6380, 26379]}`, []string{"TCP 4150", "TCP 4151", "TCP 6380", "TCP 26379"}},
		"a Redis by its URL":           {`{networkPolicy: {enabled: true}, redis: {onCluster: false}, settings: {LOGGER_REDIS_URLS: "rediss://far:6380/"}}`, []string{"TCP 4150", "TCP 4151", "TCP 6379", "TCP 6380"}},
		"Sentinels":                    {`{networkPolicy: {enabled: true}, redis: {onCluster: false, ports: [7000]}, settings: {LOGGER_REDIS_URLS: "a:26379, redis://b:26380,[::1]:26379,[::1],redis://c"}}`, []string{"TCP 4150", "TCP 4151", "TCP 7000", "TCP 26379", "TCP 26380", "TCP 6379"}},
		"a Redis by a secret URL":      {`{networkPolicy: {enabled: true}, redis: {onCluster: false, ports: [6380]}, secretSettings: {LOGGER_REDIS_URLS: {secret: s, key: k}}}`, []string{"TCP 4150", "TCP 4151", "TCP 6380"}},
		"addresses of IPv6":            {`{networkPolicy: {enabled: true}, storage: memory, nsq: {lookupd: ["[::1]:4161"], nsqd: ["[fd00::2]:4160"]}}`, []string{"TCP 4161", "TCP 4160", "TCP 4150", "TCP 4151"}},
		"memory":                       {`storage: memory`, []string{"TCP 4150", "TCP 4151"}},
		"another aggregator, and more": {"image: {repository: mine}\naggregator: kafka\nstorage: memory", nil},
		"a plugin elsewhere":           {`{storage: memory, networkPolicy: {enabled: true}, remotePlugins: [{kind: storage, address: "dns:///a.b:9000", tlsSecret: s}]}`, []string{"TCP 4150", "TCP 4151", "TCP 9000"}},
		"what is named":                {`{storage: memory, networkPolicy: {enabled: true, extraEgress: [{ports: [{protocol: TCP, port: 5432}]}]}}`, []string{"TCP 4150", "TCP 4151", "TCP 5432"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := policyOf(t, "deis-logger", tc.values)
			var ports []string
			for _, rule := range got.Spec.Egress {
				for _, p := range rule.Ports {
					ports = append(ports, p.Protocol+" "+p.Port)
				}
				// The chart knows only its own Redis by its labels.
				if redis := len(rule.Ports) == 1 && rule.Ports[0].Port == "redis"; redis != (len(rule.To) > 0) {
					t.Errorf("egress %+v", rule)
				}
			}
			want := append(slices.Clone(dns), tc.want...)
			slices.Sort(ports)
			slices.Sort(want)
			if !slices.Equal(ports, want) {
				t.Errorf("it lets out to %q, want %q", ports, want)
			}
		})
	}
}

// TestPolicyLetsIn checks that anybody may ask the logger, but only over HTTP.
func TestPolicyLetsIn(t *testing.T) {
	t.Parallel()
	const monitoring = `{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}`
	for name, tc := range map[string]struct {
		values string
		want   []string
	}{
		"defaults":                    {``, []string{"pods map[]"}},
		"named peers":                 {`networkPolicy: {enabled: true, from: [{podSelector: {matchLabels: {app: controller}}}]}`, []string{"pods map[app:controller]"}},
		"Grafana":                     {`networkPolicy: {enabled: true, from: [{podSelector: {}}, ` + monitoring + `]}`, []string{"pods map[]", "namespaces map[kubernetes.io/metadata.name:monitoring]"}},
		"Prometheus":                  {`networkPolicy: {enabled: true, metricsFrom: [` + monitoring + `]}`, []string{"pods map[]", "namespaces map[kubernetes.io/metadata.name:monitoring]"}},
		"named peers, and Prometheus": {`networkPolicy: {enabled: true, from: [{podSelector: {matchLabels: {app: controller}}}], metricsFrom: [` + monitoring + `]}`, []string{"pods map[app:controller]", "namespaces map[kubernetes.io/metadata.name:monitoring]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var peers []string
			for _, rule := range policyOf(t, "deis-logger", tc.values).Spec.Ingress {
				if !slices.Equal(rule.Ports, []port{{"TCP", "http"}}) {
					t.Errorf("it lets in to %+v", rule.Ports)
				}
				for _, from := range rule.From {
					if from.NamespaceSelector != nil {
						peers = append(peers, fmt.Sprintf("namespaces %v", from.NamespaceSelector.MatchLabels))
					}
					if from.PodSelector != nil {
						peers = append(peers, fmt.Sprintf("pods %v", from.PodSelector.MatchLabels))
					}
				}
			}
			if !slices.Equal(peers, tc.want) {
				t.Errorf("it lets in %q, want %q", peers, tc.want)
			}
		})
	}
}

// TestRedisIsForTheLoggerAlone checks the policy of the chart's own Redis.
func TestRedisIsForTheLoggerAlone(t *testing.T) {
	t.Parallel()
	got := policyOf(t, "deis-logger-redis", ``).Spec
	if len(got.Egress) != 0 || len(got.Ingress) != 1 || len(got.Ingress[0].From) != 1 ||
		got.Ingress[0].From[0].PodSelector.MatchLabels["app.kubernetes.io/component"] != "logger" {
		t.Errorf("%+v", got)
	}
}

// policyOf renders a policy with the values. Policies are enabled unless the values say otherwise.
func policyOf(t *testing.T, name, values string) (p policy) {
	t.Helper()
	if !strings.Contains(values, "networkPolicy") {
		values += "\nnetworkPolicy: {enabled: true}\n"
	}
	if !charttest.Render(t, values).Find(t, "NetworkPolicy", name, &p) {
		t.Fatalf("no NetworkPolicy %s was rendered", name)
	}
	return p
}
