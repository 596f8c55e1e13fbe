package redis

import (
	"time"

	"github.com/deis/logger/sdk"
)

// Settings declares the environment variables that the plugin takes.
type Settings struct {
	Lines int `env:"NUMBER_OF_LINES" default:"1000" min:"1" doc:"lines kept per app"`

	Retention sdk.Duration `env:"LOGGER_APP_RETENTION" default:"720h" min:"0" doc:"an app that got no line for so long is forgotten; 0: never"`

	Host     string `env:"DEIS_LOGGER_REDIS_SERVICE_HOST" doc:"host of Redis; empty means localhost"`
	Port     int    `env:"DEIS_LOGGER_REDIS_SERVICE_PORT" default:"6379" min:"1" max:"65535" doc:"TCP port of Redis"`
	Password string `env:"DEIS_LOGGER_REDIS_PASSWORD" secret:"true" doc:"password of Redis; empty for none"`
	DB       int    `env:"DEIS_LOGGER_REDIS_DB" default:"0" min:"0" doc:"number of the Redis database"`

	URLs     string `env:"LOGGER_REDIS_URLS" doc:"nodes of a cluster, or Sentinels, or one Redis instead of DEIS_LOGGER_REDIS_SERVICE_HOST: host:port, or redis:// or rediss:// (TLS) before it, comma-separated"`
	Mode     string `env:"LOGGER_REDIS_MODE" default:"single" oneof:"single cluster sentinel" doc:"what the addresses are: one Redis, nodes of a Redis Cluster (some are enough), or Sentinels that know where the master is"`
	Username string `env:"LOGGER_REDIS_USERNAME" doc:"user of Redis that the password is of; empty for the default one"`

	SentinelMaster   string `env:"LOGGER_REDIS_SENTINEL_MASTER" doc:"name that the Sentinels have for the master"`
	SentinelPassword string `env:"LOGGER_REDIS_SENTINEL_PASSWORD" secret:"true" doc:"password of the Sentinels themselves; empty for none"`

	TLS           bool   `env:"LOGGER_REDIS_TLS" doc:"talk TLS to Redis and to Sentinels, as rediss:// does"`
	TLSCAFile     string `env:"LOGGER_REDIS_TLS_CA_FILE" doc:"PEM file of the authorities that Redis's certificate is checked against; empty means the system's"`
	TLSCertFile   string `env:"LOGGER_REDIS_TLS_CERT_FILE" doc:"PEM file of the certificate to show to Redis"`
	TLSKeyFile    string `env:"LOGGER_REDIS_TLS_KEY_FILE" doc:"PEM file of its key"`
	TLSSkipVerify bool   `env:"LOGGER_REDIS_TLS_SKIP_VERIFY" doc:"do not check Redis's certificate: whoever is in between can read and change everything"`

	// Without it, lines are lost that Redis acknowledged and lost in a failover. With it, nothing
	// is stored while there are fewer replicas: messages wait in the transport.
	WaitReplicas int `env:"LOGGER_REDIS_WAIT_REPLICAS" default:"0" min:"0" max:"100" doc:"replicas that must have an append before it counts as stored, so that a failover to one of them loses nothing; 0 does not wait"`

	PipelineLength int `env:"DEIS_LOGGER_REDIS_PIPELINE_LENGTH" default:"50" min:"1" doc:"most lines that one Redis pipeline carries"`
	// If the earlier pipelines of an append take longer than this, the append fails, and the host's
	// next one goes on from there. So a slow Redis shows.
	PipelineTimeout time.Duration `env:"DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS" default:"1" min:"0" doc:"longest time in seconds that a line may wait for its pipeline to be sent (an idle pipeline sends at once); then the append fails and is tried again from there; 0 is no limit"`
}
