package plugin

import (
	"os"

	"github.com/deis/logger/sdk"
)

// reserved are secrets that one plugin alone may declare, whatever else is installed.
var reserved = map[string]string{ //nolint:gosec // names of variables, no secrets
	"DEIS_LOGGER_REDIS_PASSWORD":     "storage-redis",
	"LOGGER_REDIS_SENTINEL_PASSWORD": "storage-redis",
	"NSQ_AUTH_SECRET":                "aggregator-nsq",
}

// Reserved refuses a setting that is another plugin's secret, with an error wrapping
// [sdk.ErrInvalid].
func Reserved(s sdk.Setting, exe Executable) error {
	if of, ok := reserved[s.Env]; ok && of != exe.String() {
		return sdk.Refusef("plugin %s declares %s, which is for plugin %s alone", exe, s.Env, of)
	}
	return nil
}

// inherited are the only variables of the host that a plugin process sees: what
// its run-time needs to work at all. Settings, and so secrets, travel over the
// plugin's own connection.
var inherited = []string{
	"PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
	"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "GOCOVERDIR",
}

func environment() []string {
	var env []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
