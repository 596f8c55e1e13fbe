package charts

import (
	"maps"
	"testing"

	"github.com/deis/logger/internal/charttest"
)

type service struct {
	Metadata struct{ Labels map[string]string }
	Spec     struct {
		Selector map[string]string
		Ports    []struct{ Name string }
	}
}

// TestOnlyTheLoggerIsScraped checks that the ServiceMonitor selects the logger's Service
// and not that of its Redis.
func TestOnlyTheLoggerIsScraped(t *testing.T) {
	t.Parallel()
	all := charttest.Render(t, `metrics: {serviceMonitor: {enabled: true}}`)
	var monitor struct {
		Spec struct {
			Selector  selector
			Endpoints []struct{ Port, Path string }
		}
	}
	if !all.Find(t, "ServiceMonitor", "deis-logger", &monitor) {
		t.Fatal("no ServiceMonitor was rendered")
	}
	for name, want := range map[string]bool{"deis-logger": true, "deis-logger-redis": false} {
		var s service
		if !all.Find(t, "Service", name, &s) {
			t.Fatalf("no Service %s was rendered", name)
		}
		selected := true
		for label, value := range monitor.Spec.Selector.MatchLabels {
			selected = selected && s.Metadata.Labels[label] == value
		}
		if selected != want {
			t.Errorf("Service %s is scraped: %v, want %v", name, selected, want)
		}
		if want && s.Spec.Ports[0].Name != monitor.Spec.Endpoints[0].Port {
			t.Errorf("its port is %q, the ServiceMonitor asks %q", s.Spec.Ports[0].Name, monitor.Spec.Endpoints[0].Port)
		}
	}
}

// TestNumbersAreSpelledOut checks that no number becomes one with an exponent, which the
// program and Kubernetes refuse.
func TestNumbersAreSpelledOut(t *testing.T) {
	t.Parallel()
	all := charttest.Render(t, `{stopTimeoutSeconds: 0.00001, terminationGracePeriodSeconds: 1000000, redis: {pipelineTimeoutSeconds: 1234567.5},
nsq: {messageTimeoutSeconds: 900}, linesPerApp: 10000000, settings: {A: 1000000, B: -2.5e+6, C: 0.25, D: 6, E: true, F: "1e6"}}`)
	env := all.Logger(t).Containers[0].Environment(t, charttest.Secrets{"logger-redis-creds": {"host": "", "port": "", "password": "", "db": ""}})
	for name, want := range map[string]string{
		"AGGREGATOR_STOP_TIMEOUT_SEC": "0.00001", "DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS": "1234567.5", "NSQ_MSG_TIMEOUT_SECONDS": "900",
		"NUMBER_OF_LINES": "10000000", "A": "1000000", "B": "-2500000", "C": "0.25", "D": "6", "E": "true", "F": "1e6",
	} {
		if env[name] != want {
			t.Errorf("%s=%q, want %q", name, env[name], want)
		}
	}
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Grace string `yaml:"terminationGracePeriodSeconds"`
				}
			}
		}
	}
	if !all.Find(t, "Deployment", "deis-logger", &deployment) || deployment.Spec.Template.Spec.Grace != "1000000" {
		t.Errorf("%+v", deployment)
	}
}

// TestRedisHasOneSecret checks that Redis and the logger take the same password, also
// from a secret that somebody else makes.
func TestRedisHasOneSecret(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values, secret string
		made           bool
	}{
		"the chart's":    {``, "logger-redis-creds", true},
		"another name":   {`redis: {secretName: mine}`, "mine", true},
		"somebody's own": {`redis: {secretName: mine, createSecret: false}`, "mine", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := charttest.Render(t, tc.values)
			var secret struct{ Data map[string]string }
			if made := all.Find(t, "Secret", tc.secret, &secret); made != tc.made {
				t.Errorf("the secret is made: %v, want %v", made, tc.made)
			}
			given := charttest.Secrets{tc.secret: {"host": "h", "port": "1", "password": "secret", "db": "0"}}
			if tc.made {
				for key := range maps.Keys(secret.Data) {
					given[tc.secret][key] = "made"
				}
			}
			env := all.Logger(t).Containers[0].Environment(t, given)
			var redis struct {
				Spec struct {
					Template struct{ Spec charttest.Pod }
				}
			}
			if !all.Find(t, "Deployment", "deis-logger-redis", &redis) {
				t.Fatal("no Redis was rendered")
			}
			password := redis.Spec.Template.Spec.Containers[0].Environment(t, given)["REDIS_PASSWORD"]
			if got := env["DEIS_LOGGER_REDIS_PASSWORD"]; got == "" || got != password {
				t.Errorf("the logger's password is %q, Redis's %q", got, password)
			}
		})
	}
}
