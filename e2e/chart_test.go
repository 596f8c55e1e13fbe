package e2e

import (
	"encoding/json"
	"net"
	"os/exec"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
)

// TestChartSettings renders the chart and gives its container's environment to the built
// program: every setting reaches the process that it is meant for, and a line that is
// published can be read.
func TestChartSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		values []string
		// want are variables of the host, and settings of its plugins.
		host, storage, aggregator map[string]string
	}{
		"redis": {
			values: []string{
				"linesPerApp=77", "maxLineBytes=2KiB", "stopTimeoutSeconds=2.5", "redis.pipelineLength=7", "redis.pipelineTimeoutSeconds=2",
				"nsq.topic=t", "nsq.channel=c", "nsq.handlers=3", "nsq.maxInFlight=99", "nsq.messageTimeoutSeconds=20", "settings.NSQ_COMPRESSION=snappy",
			},
			host: map[string]string{
				"STORAGE_ADAPTER": "redis", "AGGREGATOR_TYPE": "nsq", "LOGGER_MAX_LINE_BYTES": "2KiB", "AGGREGATOR_STOP_TIMEOUT_SEC": "2.5",
				"LOGGER_LOG_FORMAT": "json", "LOGGER_LOG_LEVEL": "info", "LOGGER_LISTEN_ADDR": ":8088", "LOGGER_RUN_DIR": "/run/logger",
			},
			storage: map[string]string{
				"NUMBER_OF_LINES": "77", "DEIS_LOGGER_REDIS_PIPELINE_LENGTH": "7", "DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS": "2",
				"DEIS_LOGGER_REDIS_DB": "3",
			},
			aggregator: map[string]string{
				"NSQ_TOPIC": "t", "NSQ_CHANNEL": "c", "NSQ_HANDLER_COUNT": "3", "NSQ_MAX_IN_FLIGHT": "99", "NSQ_MSG_TIMEOUT_SECONDS": "20",
				"NSQ_COMPRESSION": "snappy",
			},
		},
		"memory": {
			values:     []string{"storage=memory", "memory.budget=8MiB", "linesPerApp=5"},
			host:       map[string]string{"STORAGE_ADAPTER": "memory"},
			storage:    map[string]string{"LOGGER_MEMORY_MAX_BYTES": "8MiB", "NUMBER_OF_LINES": "5"},
			aggregator: map[string]string{"NSQ_TOPIC": "logs", "NSQ_CHANNEL": "consume"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t, "--requirepass", "from-the-secret")
			redisHost, redisPort, _ := net.SplitHostPort(redis.Addr)
			secret := map[string]string{"host": redisHost, "port": redisPort, "password": "from-the-secret", "db": "3"}
			queue := harness.NewQueue(t)
			nsqHost, nsqPort, _ := net.SplitHostPort(queue.TCPAddr())
			env := chartEnv(t, secret, append(tc.values, "nsq.host="+nsqHost, "nsq.port="+nsqPort)...)
			for variable, want := range tc.host {
				if env[variable] != want {
					t.Errorf("%s=%q in the container, want %q", variable, env[variable], want)
				}
			}
			// Where the container has its folders, and its port, is not for this machine.
			delete(env, "LOGGER_RUN_DIR")
			env["LOGGER_LISTEN_ADDR"] = "127.0.0.1:0"
			got := settingsOf(t, env)
			for plugin, want := range map[string]map[string]string{"storage-" + name: tc.storage, "aggregator-nsq": tc.aggregator} {
				for variable, value := range want {
					if s, ok := got[plugin][variable]; !ok || s != value {
						t.Errorf("%s of %s is %q, want %q", variable, plugin, s, value)
					}
				}
			}
			l := harness.Start(t, env)
			queue.Publish(env["NSQ_TOPIC"], harness.Numbered(1, 1))
			l.Until("the line is kept", func() bool { return strings.Count(l.Lines("app-1"), "\n") == 1 })
			l.Until("it is finished in nsqd", func() bool { return queue.Channel(env["NSQ_TOPIC"], env["NSQ_CHANNEL"]).Empty() })
		})
	}
}

// settingsOf are the values that each installed plugin would be given, as `logger
// plugins` tells them.
func settingsOf(t *testing.T, env map[string]string) map[string]map[string]string {
	t.Helper()
	cmd, _ := harness.Command(t, []string{"plugins", "-o", "json"}, env)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("logger plugins: %v: %s", err, out)
	}
	var plugins []struct {
		Kind, Name string
		Settings   []struct{ Name, Value string }
	}
	if err := json.Unmarshal(out, &plugins); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all := map[string]map[string]string{}
	for _, p := range plugins {
		values := map[string]string{}
		for _, s := range p.Settings {
			values[s.Name] = s.Value
		}
		all[p.Kind+"-"+p.Name] = values
	}
	return all
}

// chartEnv is the environment of the rendered chart's container, with what it refers to
// in the secret.
func chartEnv(t *testing.T, secret map[string]string, values ...string) map[string]string {
	t.Helper()
	args := []string{
		"tool", "-modfile=tools/helm/go.mod", "helm", "template", "release", "charts/logger", "--kube-version", "1.33.0",
		"--show-only", "templates/deployment.yaml",
	}
	for _, value := range values {
		args = append(args, "--set", value)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = ".."
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("render the chart: %v: %s", err, &stderr)
	}
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct {
						Env []struct {
							Name      string `yaml:"name"`
							Value     string `yaml:"value"`
							ValueFrom struct {
								SecretKeyRef struct {
									Name string `yaml:"name"`
									Key  string `yaml:"key"`
								} `yaml:"secretKeyRef"`
							} `yaml:"valueFrom"`
						} `yaml:"env"`
					} `yaml:"containers"`
				} `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal(out, &deployment); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, v := range deployment.Spec.Template.Spec.Containers[0].Env {
		env[v.Name] = v.Value
		if ref := v.ValueFrom.SecretKeyRef; ref.Name != "" {
			value, ok := secret[ref.Key]
			if !ok || ref.Name != "logger-redis-creds" {
				t.Errorf("%s comes from %+v", v.Name, ref)
			}
			env[v.Name] = value
		}
	}
	return env
}
