package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/internal/charttest"
)

// reach says which variables one of the chart's values ends up in.
type reach struct {
	// set holds the value as YAML. It differs from the chart's default.
	set string
	// at maps variables to the values that their process has to see. A key is "PROCESS NAME";
	// PROCESS is host, a plugin such as storage-redis, or container for what the container gets.
	// ROOT stands for the root of the container's files.
	at map[string]string
}

// reaches maps the names of the chart's values to where they end up.
type reaches map[string]reach

// farRedis has the values of a host whose Redis is outside the cluster and speaks TLS, and all
// values of NSQ.
var farRedis = reaches{
	"linesPerApp":                  {`77`, map[string]string{"storage-redis NUMBER_OF_LINES": "77"}},
	"appRetention":                 {`1h30m`, map[string]string{"storage-redis LOGGER_APP_RETENTION": "1h30m"}},
	"maxLineBytes":                 {`2KiB`, map[string]string{"host LOGGER_MAX_LINE_BYTES": "2048"}},
	"stopTimeoutSeconds":           {`2.5`, map[string]string{"host AGGREGATOR_STOP_TIMEOUT_SEC": "2.5s"}},
	"log.level":                    {`debug`, map[string]string{"host LOGGER_LOG_LEVEL": "debug"}},
	"nsq.topic":                    {`t`, map[string]string{"aggregator-nsq NSQ_TOPIC": "t"}},
	"nsq.channel":                  {`c`, map[string]string{"aggregator-nsq NSQ_CHANNEL": "c"}},
	"nsq.handlers":                 {`3`, map[string]string{"aggregator-nsq NSQ_HANDLER_COUNT": "3"}},
	"nsq.httpPort":                 {`4999`, map[string]string{"aggregator-nsq DEIS_NSQD_SERVICE_PORT_HTTP": "4999"}},
	"nsq.maxInFlight":              {`1000000`, map[string]string{"aggregator-nsq NSQ_MAX_IN_FLIGHT": "1000000"}},
	"nsq.messageTimeoutSeconds":    {`20`, map[string]string{"aggregator-nsq NSQ_MSG_TIMEOUT_SECONDS": "20"}},
	"redis.onCluster":              {`false`, nil}, // so that the next one counts:
	"redis.existingSecret":         {`far`, map[string]string{"storage-redis DEIS_LOGGER_REDIS_DB": "3", "storage-redis DEIS_LOGGER_REDIS_PASSWORD": "********"}},
	"redis.pipelineLength":         {`7`, map[string]string{"storage-redis DEIS_LOGGER_REDIS_PIPELINE_LENGTH": "7"}},
	"redis.pipelineTimeoutSeconds": {`1000000`, map[string]string{"storage-redis DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS": "1000000"}},
	"api.tokensSecret":             {`tokens`, map[string]string{"host LOGGER_API_TOKENS_FILE": "ROOT/etc/logger/tokens/tokens"}},
	"api.sessionKeySecret":         {`session`, map[string]string{"host LOGGER_SESSION_KEY_FILE": "ROOT/etc/logger/session-key/key"}},
	"settings": {
		`{NSQ_COMPRESSION: snappy, LOGGER_REDIS_TLS: true, LOGGER_MAX_FOLLOWERS: 1000000, RATE: 0.25, LOGGER_REDIS_TLS_CA_FILE: /etc/logger/tls/ca.pem}`,
		map[string]string{
			"aggregator-nsq NSQ_COMPRESSION": "snappy", "storage-redis LOGGER_REDIS_TLS": "true", "host LOGGER_MAX_FOLLOWERS": "1000000",
			"container RATE": "0.25",
		},
	},
	"secretSettings":    {`{LOGGER_REDIS_USERNAME: {secret: users, key: name}}`, map[string]string{"storage-redis LOGGER_REDIS_USERNAME": "default"}},
	"extraVolumes":      {`[{name: certificates, secret: {secretName: authority}}]`, nil}, // together with the next one it makes a file:
	"extraVolumeMounts": {`[{name: certificates, mountPath: /etc/logger/tls, readOnly: true}]`, map[string]string{"storage-redis LOGGER_REDIS_TLS_CA_FILE": "ROOT/etc/logger/tls/ca.pem"}},
}

// inMemory has the values of a host with memory storage. The test sets nsq.lookupd and nsq.nsqd.
var inMemory = reaches{
	"storage":       {`memory`, map[string]string{"host STORAGE_ADAPTER": "memory"}},
	"memory.budget": {`8MiB`, map[string]string{"storage-memory LOGGER_MEMORY_MAX_BYTES": "8MiB"}},
}

// withPlugins has the values of a host whose extra plugins come from other images. The test sets
// checksums.
var withPlugins = reaches{
	"storage":    {`kept`, map[string]string{"host STORAGE_ADAPTER": "kept"}},
	"aggregator": {`queue`, map[string]string{"host AGGREGATOR_TYPE": "queue"}},
	"extraPlugins": {
		`[{name: kept, image: "example/kept:1", path: /theirs}, {name: queue, image: "example/queue:1"}]`,
		map[string]string{"host LOGGER_PLUGIN_PATH": "ROOT/opt/logger/plugins:ROOT/opt/logger/extra/kept:ROOT/opt/logger/extra/queue"},
	},
}

// unchecked has the values of a host whose extra plugins have no checksums.
var unchecked = reaches{
	"apps.label":             {`example.com/app`, map[string]string{"host LOGGER_APP_LABEL": "example.com/app"}},
	"apps.selector":          {`"a=b,!c"`, map[string]string{"host LOGGER_LABEL_SELECTOR": "a=b,!c"}},
	"apps.excludeNamespaces": {`[kube-system, x]`, map[string]string{"host LOGGER_NAMESPACES_EXCLUDE": "kube-system,x"}},
	"controller.container":   {`c`, map[string]string{"host LOGGER_CONTROLLER_CONTAINER": "c"}},
	"controller.namespace":   {`n`, map[string]string{"host LOGGER_CONTROLLER_NAMESPACE": "n"}},
	"api.hosts": {
		`[logger.example.com]`,
		map[string]string{"host LOGGER_ALLOWED_HOSTS": "deis-logger,deis-logger.deis,deis-logger.deis.svc,deis-logger.deis.svc.cluster.local,localhost,logger.example.com"},
	},
	"controller.name":  {`drycc`, map[string]string{"host LOGGER_CONTROLLER_NAME": "drycc"}},
	"storage":          {`redis`, map[string]string{"host STORAGE_ADAPTER": "redis"}},
	"log.format":       {`text`, map[string]string{"host LOGGER_LOG_FORMAT": "text"}},
	"redis.secretName": {`mine`, map[string]string{"storage-redis DEIS_LOGGER_REDIS_DB": "5", "storage-redis DEIS_LOGGER_REDIS_SERVICE_HOST": "redis.example"}},
	"remotePlugins": {
		`[{kind: aggregator, address: "dns:///far.example:9000", tlsSecret: client}]`, map[string]string{
			"host LOGGER_AGGREGATOR_ADDR":          "dns:///far.example:9000",
			"host LOGGER_AGGREGATOR_TLS_CERT_FILE": "ROOT/etc/logger/aggregator-tls/tls.crt",
			"host LOGGER_AGGREGATOR_TLS_KEY_FILE":  "ROOT/etc/logger/aggregator-tls/tls.key",
			"host LOGGER_AGGREGATOR_TLS_CA_FILE":   "ROOT/etc/logger/aggregator-tls/ca.crt",
		},
	},
	"sidecarPlugins": {
		`[{kind: storage, image: "example/storage:1"}]`,
		map[string]string{"host LOGGER_STORAGE_ADDR": "unix:///run/plugins/storage.sock"},
	},
	"extraPlugins": {`[{name: kept, image: "example/kept:1", path: /theirs}]`, map[string]string{"host LOGGER_PLUGIN_CHECKSUMS": ""}},
}

// byTheTest lists the values that depend on what the test runs, so the test itself sets them.
var byTheTest = []string{"nsq.host", "nsq.port", "nsq.lookupd", "nsq.nsqd", "checksums"}

// notSettings lists the values that reach no process of the logger. They concern Kubernetes, the
// chart's Redis, or what the chart makes beside the logger. Package charts tests those about its
// policies.
var notSettings = []string{
	"affinity", "global", "grafana.*", "image.*", "imagePullSecrets", "metrics.*", "networkPolicy.*", "nodeSelector", "podAnnotations", "podDisruptionBudget.*",
	"podLabels", "priorityClassName", "redis.createSecret", "redis.image.*", "redis.maxMemory", "redis.persistence.*", "redis.ports",
	"redis.resources", "replicas", "resources", "runDir.sizeLimit", "service.*", "serviceAccount.*", "terminationGracePeriodSeconds",
	"tolerations", "topologySpread",
}

// TestChartValuesAreCovered fails for a new value of the chart until TestChartSettings shows where
// it ends up, or notSettings lists it.
func TestChartValuesAreCovered(t *testing.T) {
	exercised := slices.Clone(byTheTest)
	for _, values := range []reaches{farRedis, inMemory, withPlugins, unchecked} {
		for name, r := range values {
			exercised = append(exercised, name)
			// The default would reach the process even if the chart ignored the value.
			if name != "storage" && charttest.Default(t, name) == r.set+"\n" {
				t.Errorf("%s: %s is what it is by default", name, r.set)
			}
		}
	}
	names := charttest.ValueNames(t)
	used := map[string]bool{}
	for _, name := range names {
		other := slices.IndexFunc(notSettings, func(pattern string) bool {
			prefix, many := strings.CutSuffix(pattern, "*")
			return pattern == name || many && strings.HasPrefix(name, prefix)
		})
		if other >= 0 {
			used[notSettings[other]] = true
		}
		if reached := slices.Contains(exercised, name); reached == (other >= 0) {
			t.Errorf("%s: want it among the values of TestChartSettings, or among those that no process is told, and not in both", name)
		}
	}
	for _, name := range exercised {
		if !slices.Contains(names, name) {
			t.Errorf("the chart has no value %s", name)
		}
	}
	for _, pattern := range notSettings {
		if !used[pattern] {
			t.Errorf("the chart has no value %s", pattern)
		}
	}
}
