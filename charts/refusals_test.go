package charts

import (
	"strings"
	"testing"

	"github.com/deis/logger/internal/charttest"
)

// TestContradictionsAreRefused renders values with which no logger could run, or with which one
// would run otherwise than they say. One line names both values and what is accepted.
func TestContradictionsAreRefused(t *testing.T) {
	t.Parallel()
	const plugin = `extraPlugins: [{name: postgres, image: example/postgres:1}]`
	for name, tc := range map[string]struct {
		values string
		want   []string
	}{
		"a budget as large as the run folder": {
			`{storage: memory, memory: {budget: 384MiB}, runDir: {sizeLimit: 384Mi}}`,
			[]string{"memory.budget 384MiB", "runDir.sizeLimit 384Mi", "at least 480Mi"},
		},
		"a budget that leaves the copies of plugins no room": {
			`{storage: memory, memory: {budget: 1GiB}, runDir: {sizeLimit: 1.05Gi}, resources: {limits: {memory: 4Gi}}}`,
			[]string{"memory.budget 1GiB", "runDir.sizeLimit 1.05Gi", "at least 1120Mi"},
		},
		"decimal units": {
			`{storage: memory, memory: {budget: "300000000"}, runDir: {sizeLimit: 300M}}`,
			[]string{"memory.budget 300000000", "runDir.sizeLimit 300M", "at least 383Mi"},
		},
		"a budget beyond the container's memory": {
			`{storage: memory, resources: {limits: {memory: 256Mi}}}`,
			[]string{"memory.budget 256MiB", "resources.limits.memory 256Mi", "at least 406Mi"},
		},
		"a limit in bytes": {
			`{storage: memory, resources: {limits: {memory: 268435456}}}`,
			[]string{"memory.budget 256MiB", "resources.limits.memory", "at least 406Mi"},
		},
		"a run folder without room for the plugins": {`{runDir: {sizeLimit: 16Mi}}`, []string{"runDir.sizeLimit 16Mi", "at least 96Mi"}},
		"a size that is none":                       {`{runDir: {sizeLimit: large}}`, []string{"runDir.sizeLimit", `"large"`, "384Mi"}},
		"replicas with memory storage":              {`{storage: memory, replicas: 3}`, []string{"replicas 3", "storage memory", "replicas 1"}},
		"more lines than the memory storage takes":  {`{storage: memory, linesPerApp: 10000001}`, []string{"linesPerApp 10000001", "storage memory", "at most 10000000"}},
		"a label of the selector":                   {`{podLabels: {app.kubernetes.io/component: mine}}`, []string{"podLabels has app.kubernetes.io/component", "another label"}},
		"no Redis":                                  {`{redis: {onCluster: false}}`, []string{"redis.onCluster false", "redis.existingSecret", "host, port, password and db", "LOGGER_REDIS_URLS"}},
		"two Redis": {
			`{redis: {existingSecret: far}}`, []string{"redis.existingSecret far", "redis.onCluster true", "redis.onCluster false"},
		},
		"two Redis, one by its URL": {
			`{settings: {LOGGER_REDIS_URLS: "rediss://far:6380"}}`, []string{"LOGGER_REDIS_URLS", "redis.onCluster true", "redis.onCluster false"},
		},
		"a Redis that its container cannot hold": {
			`{redis: {maxMemory: 384mb}}`, []string{"redis.maxMemory 384mb", "redis.resources.limits.memory 384Mi"},
		},
		"a Redis without a bound in a container with one": {
			`{redis: {maxMemory: "0"}}`, []string{"redis.maxMemory 0", "redis.resources.limits.memory 384Mi"},
		},
		"a bound that Redis does not know": {`{redis: {maxMemory: 256Mi}}`, []string{"redis.maxMemory", "256Mi", "256mb"}},
		"a storage that nothing brings":    {`{storage: postgres}`, []string{"storage postgres", "extraPlugins", "redis and memory"}},
		"an aggregator that nothing brings": {
			`{aggregator: kafka}`, []string{"aggregator kafka", "extraPlugins", "only nsq"},
		},
		"checksums of nothing": {`{checksums: "` + strings.Repeat("0", 64) + `  logger-storage-postgres"}`, []string{"checksums", "extraPlugins"}},
		"checksums that are none": {
			plugin + "\nchecksums: |\n  12345  logger-storage-postgres\n", []string{"checksums", "12345", "64 hexadecimal digits"},
		},
		"one plugin twice": {
			`extraPlugins: [{name: postgres, image: a}, {name: postgres, image: b}]`, []string{"extraPlugins", "postgres twice"},
		},
		"two plugins of a kind elsewhere": {
			`{storage: p, sidecarPlugins: [{kind: storage, image: i}], remotePlugins: [{kind: storage, address: "dns:///a:1", tlsSecret: s}]}`,
			[]string{"sidecarPlugins", "remotePlugins", "two of kind storage"},
		},
		"an address that a sidecar stands for": {
			`{sidecarPlugins: [{kind: storage, image: i}], settings: {LOGGER_STORAGE_ADDR: "unix:///s"}}`, []string{"LOGGER_STORAGE_ADDR", "sidecarPlugins"},
		},
		"no time to stop": {
			`{stopTimeoutSeconds: 13}`, []string{"terminationGracePeriodSeconds 15", "stopTimeoutSeconds 13", "more than 15"},
		},
		"a budget that lets no node be drained": {
			`{replicas: 3, podDisruptionBudget: {maxUnavailable: 0}}`, []string{"podDisruptionBudget.maxUnavailable 0", "replicas 3", "1 to 2"},
		},
		"the same in percent": {`{replicas: 3, podDisruptionBudget: {maxUnavailable: 0%}}`, []string{"podDisruptionBudget.maxUnavailable 0%", "1% to 99%"}},
		"a budget that protects nothing": {
			`{replicas: 3, podDisruptionBudget: {maxUnavailable: 3}}`, []string{"podDisruptionBudget.maxUnavailable 3", "replicas 3", "1 to 2"},
		},
		"a setting that a value stands for": {`{settings: {NSQ_TOPIC: t}}`, []string{"NSQ_TOPIC", "nsq.topic"}},
		"a secret setting that a value stands for": {
			`{secretSettings: {DEIS_LOGGER_REDIS_PASSWORD: {secret: s, key: k}}}`, []string{"DEIS_LOGGER_REDIS_PASSWORD", "redis.existingSecret"},
		},
		"a folder of plugins beside extraPlugins": {
			plugin + "\nsettings: {LOGGER_PLUGIN_PATH: /mine}", []string{"LOGGER_PLUGIN_PATH", "extraPlugins"},
		},
		"a data source that nothing answers": {
			`{grafana: {dataSource: {enabled: true}}, settings: {LOGGER_LOKI: false}}`, []string{"grafana.dataSource.enabled true", "LOGGER_LOKI false"},
		},
		"a data source without a token": {
			`{grafana: {dataSource: {enabled: true}}, api: {tokensSecret: t}}`, []string{"api.tokensSecret t", "grafana.dataSource.tokenVariable"},
		},
		"a setting, and a file with it": {
			`{settings: {A_FILE: /x}, secretSettings: {A: {secret: s, key: k}}}`, []string{"settings has A_FILE", "secretSettings has A"},
		},
		"one setting in two places": {
			`{settings: {A: "1"}, secretSettings: {A: {secret: s, key: k}}}`, []string{"settings", "secretSettings", "A"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := charttest.Refusal(t, tc.values)
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("want %q in: %s", want, got)
				}
			}
		})
	}
}

// TestValidValuesRender has valid set-ups that are close to a refusal.
func TestValidValuesRender(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"just enough room":                  `{storage: memory, memory: {budget: 288MiB}, runDir: {sizeLimit: 384Mi}, resources: {limits: {memory: 438Mi}}}`,
		"a small run folder without copies": `{extraPlugins: [{name: p, image: i}], runDir: {sizeLimit: 8Mi}}`,
		"a storage beside the logger":       `{storage: p, sidecarPlugins: [{kind: storage, image: i}]}`,
		"an aggregator elsewhere":           `{aggregator: p, remotePlugins: [{kind: aggregator, address: "dns:///a:1", tlsSecret: s}]}`,
		"no limit of memory":                `{storage: memory, resources: {limits: null}}`,
		"a small container for Redis":       `{resources: {limits: {memory: 300Mi}}}`,
		"sizes of Kubernetes":               `{storage: memory, memory: {budget: 64MiB}, runDir: {sizeLimit: 0.5Gi}, resources: {limits: {memory: 1e9}}}`,
		"a cluster without a secret":        `{redis: {onCluster: false}, settings: {LOGGER_REDIS_MODE: cluster, LOGGER_REDIS_URLS: "a:6379,b:6379"}}`,
		"an image with another storage":     `{storage: sqlite, image: {repository: example/logger-sqlite}}`,
		"a mirror with another storage":     `{storage: sqlite, image: {registry: registry.example}}`,
		"a volume with another storage":     `{storage: sqlite, settings: {LOGGER_PLUGIN_PATH: "/opt/logger/plugins:/mine"}}`,
		"checksums with a remark":           "extraPlugins: [{name: p, image: i}]\nchecksums: |\n  # ours\n\n  " + strings.Repeat("aF", 32) + " *logger-storage-p\n",
		"settings of another aggregator":    `{aggregator: kafka, image: {repository: mine}, settings: {NSQ_TOPIC: t}}`,
		"a budget of disruption in percent": `{replicas: 2, podDisruptionBudget: {maxUnavailable: 50%}}`,
		"one replica and a strict budget":   `{podDisruptionBudget: {maxUnavailable: 0}}`,
		"no budget of disruption":           `{replicas: 2, podDisruptionBudget: {enabled: false, maxUnavailable: 0}}`,
		"a Redis without limits":            `{redis: {maxMemory: 4GB, resources: {limits: null}}}`,
		"no resources of Redis":             `{redis: {resources: null}}`,
		"no resources":                      `{resources: null}`,
		"as many lines as memory takes":     `{storage: memory, linesPerApp: 10000000}`,
		"addresses of IPv6":                 `{nsq: {nsqd: ["[::1]:4150", "a:4150"], lookupd: ["[fe80::1%eth0]:4161"]}}`,
		"labels of one's own":               `{podLabels: {app.kubernetes.io/part-of: mine}}`,
		"no data source of Loki's API":      `{settings: {LOGGER_LOKI: false}, api: {tokensSecret: t}}`,
		"a long stop":                       `{stopTimeoutSeconds: "60.5", terminationGracePeriodSeconds: 63}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			charttest.Render(t, values).Logger(t)
		})
	}
}
