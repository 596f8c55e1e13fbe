package plugin

import (
	"fmt"
	"os"
	"runtime"

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
	env := []string{fmt.Sprintf("GOMAXPROCS=%d", processors(runtime.GOMAXPROCS(0)))}
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok { // of two the last counts
			env = append(env, name+"="+value)
		}
	}
	return env
}

// processors is how many of the host's a plugin in Go uses, unless GOMAXPROCS says: half. A
// message goes through the processes one after the other, on the same processors; with all
// of them a busy plugin spends a tenth of its time on waking threads that find no work.
func processors(all int) int { return max(1, all/2) }
