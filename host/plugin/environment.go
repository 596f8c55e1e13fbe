package plugin

import (
	"fmt"
	"os"
	"runtime"

	"github.com/deis/logger/sdk"
)

// reserved has the variables for secrets of the platform, and for files with such secrets, and says
// whom each is for. No other plugin gets them, whatever is installed.
var reserved = map[string]string{
	"DEIS_LOGGER_REDIS_PASSWORD":     "plugin storage-redis",
	"LOGGER_REDIS_SENTINEL_PASSWORD": "plugin storage-redis",
	"NSQ_AUTH_SECRET":                "plugin aggregator-nsq",
	"NSQ_TLS_KEY_FILE":               "plugin aggregator-nsq",
	"LOGGER_REDIS_TLS_KEY_FILE":      "plugin storage-redis",
	"LOGGER_API_TOKENS_FILE":         "the logger",
	"LOGGER_SESSION_KEY_FILE":        "the logger",
	"LOGGER_STORAGE_TLS_KEY_FILE":    "the logger",
	"LOGGER_AGGREGATOR_TLS_KEY_FILE": "the logger",
	"LOGGER_TOKEN_FILE":              "the commands for people",
}

// environment returns the part of the host's environment that a plugin process sees. Settings, and
// so secrets, travel over the plugin's connection instead.
func environment() []string {
	env := []string{fmt.Sprintf("GOMAXPROCS=%d", processors(runtime.GOMAXPROCS(0)))}
	for _, name := range sdk.Inherited() {
		if value, ok := os.LookupEnv(name); ok { // of two the last counts
			env = append(env, name+"="+value)
		}
	}
	return env
}

// processors returns how many of the host's processors a plugin in Go uses, unless GOMAXPROCS is
// set: half of them. A message goes through the processes one after the other, on the same
// processors. With all of them, a busy plugin spends a tenth of its time on waking threads that
// find no work.
func processors(all int) int { return max(1, all/2) }
