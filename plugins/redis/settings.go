package redis

import "time"

// Settings are the environment variables that the plugin takes.
type Settings struct {
	Lines int `env:"NUMBER_OF_LINES" default:"1000" min:"1" doc:"lines kept per app"`

	Host     string `env:"DEIS_LOGGER_REDIS_SERVICE_HOST" doc:"host of Redis; empty means localhost"`
	Port     int    `env:"DEIS_LOGGER_REDIS_SERVICE_PORT" default:"6379" min:"1" max:"65535" doc:"TCP port of Redis"`
	Password string `env:"DEIS_LOGGER_REDIS_PASSWORD" secret:"true" doc:"password of Redis; empty for none"`
	DB       int    `env:"DEIS_LOGGER_REDIS_DB" default:"0" min:"0" doc:"number of the Redis database"`

	PipelineLength int `env:"DEIS_LOGGER_REDIS_PIPELINE_LENGTH" default:"50" min:"1" doc:"most lines that one Redis pipeline carries"`
	// A pipeline is sent at once when its connection is idle. What makes lines wait is
	// the pipelines of the same append that go before theirs; when they take longer
	// than this, the append fails with sdk.ErrUnavailable and the host appends again,
	// which goes on where it stopped. So a slow Redis shows, and is never hidden by an
	// append that takes for ever. 0 is no limit but the call's own.
	PipelineTimeout time.Duration `env:"DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS" default:"1" min:"0" doc:"longest time in seconds that a line may wait for its pipeline to be sent (an idle pipeline sends at once); then the append fails and is tried again from there; 0 is no limit"`
}
