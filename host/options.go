package host

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// Options configure a [Host]. [LoadOptions] reads them from the environment.
type Options struct {
	StorageAdapter string        `env:"STORAGE_ADAPTER" default:"redis" doc:"storage plugin to load: redis, memory, or any installed one"`
	AggregatorType string        `env:"AGGREGATOR_TYPE" default:"nsq" doc:"aggregator plugin to load"`
	StopTimeout    time.Duration `env:"AGGREGATOR_STOP_TIMEOUT_SEC" default:"1" min:"0" max:"3600" doc:"longest wait, in seconds, for the aggregator to finish what is in flight on stop"`
	ListenAddr     string        `env:"LOGGER_LISTEN_ADDR" default:":8088" doc:"address of the HTTP API"`
	PluginPath     string        `env:"LOGGER_PLUGIN_PATH" doc:"colon-separated folders of plugins; default: the folder plugins beside the executable"`
	Checksums      string        `env:"LOGGER_PLUGIN_CHECKSUMS" doc:"file in the format of sha256sum; when set, only plugins that it lists run, each from a private copy"`
	MaxOpenFiles   int           `env:"LOGGER_PLUGIN_MAX_OPEN_FILES" default:"0" min:"0" max:"1048576" doc:"most open files of one plugin process; 0: as many as the logger itself"`
	MaxMemory      sdk.Bytes     `env:"LOGGER_PLUGIN_MAX_MEMORY" default:"0" doc:"most memory of one plugin process, which is replaced when it takes more; 0: no limit"`
	RunDir         string        `env:"LOGGER_RUN_DIR" doc:"folder for sockets and the plugins' state, best on a tmpfs; default: /dev/shm, else the temporary folder"`
	LogLevel       string        `env:"LOGGER_LOG_LEVEL" default:"info" oneof:"trace debug info warn error" doc:"least level of what is logged"`
	LogFormat      string        `env:"LOGGER_LOG_FORMAT" default:"text" oneof:"text json" doc:"form of the log"`
	MaxLineBytes   sdk.Bytes     `env:"LOGGER_MAX_LINE_BYTES" default:"64KiB" min:"256" max:"1MiB" doc:"longest line that is kept whole; the rest is cut off"`
	TokensFile     string        `env:"LOGGER_API_TOKENS_FILE" doc:"file of the tokens that /v1 and DELETE ask for, one a line; default: none is asked for"`
	SessionKeyFile string        `env:"LOGGER_SESSION_KEY_FILE" doc:"file of the key that signs tail sessions, the same on all hosts; default: a random one, until the host stops"`
	Origins        string        `env:"LOGGER_CORS_ORIGINS" doc:"comma-separated origins whose pages may read /v1, * for all; default: none"`
	MaxFollowers   int           `env:"LOGGER_MAX_FOLLOWERS" default:"5000" min:"0" max:"1000000" doc:"most live tails at once"`
	BufferLines    int           `env:"LOGGER_FOLLOWER_BUFFER_LINES" default:"10000" min:"1" max:"10000000" doc:"most lines that wait for a slow follower before it misses some"`
	BufferBytes    sdk.Bytes     `env:"LOGGER_FOLLOWER_BUFFER_BYTES" default:"4MiB" min:"64KiB" max:"1GiB" doc:"and most bytes"`
}

// LoadOptions reads the options from the environment. Its errors are one line that
// names the variable, the value and what is accepted.
func LoadOptions(lookup func(env string) (string, bool)) (Options, error) {
	o, err := sdk.LoadSettings[Options](lookup)
	if err != nil {
		return o, err
	}
	if o.PluginPath == "" {
		o.PluginPath = defaultPluginPath()
	}
	return o, nil
}

// defaultPluginPath is the folder "plugins" beside the executable, and for one in a
// folder sbin also beside that folder, as in the image.
func defaultPluginPath() string {
	exe, err := os.Executable()
	if err != nil {
		return "plugins"
	}
	dir := filepath.Dir(exe)
	path := filepath.Join(dir, "plugins")
	if filepath.Base(dir) == "sbin" {
		path += string(filepath.ListSeparator) + filepath.Join(filepath.Dir(dir), "plugins")
	}
	return path
}

// Logger makes the host's logger as the options say.
func (o Options) Logger(out io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name:       "logger",
		Level:      hclog.LevelFromString(o.LogLevel),
		JSONFormat: o.LogFormat == "json",
		Output:     out,
	})
}
