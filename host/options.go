package host

import (
	"cmp"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/host/pipeline"
	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// Options configures a [Host]. [LoadOptions] reads it from the environment.
type Options struct {
	StorageAdapter      string        `env:"STORAGE_ADAPTER" default:"redis" doc:"storage plugin to load: redis, memory, or any installed one"`
	AggregatorType      string        `env:"AGGREGATOR_TYPE" default:"nsq" doc:"aggregator plugin to load"`
	StorageAddr         string        `env:"LOGGER_STORAGE_ADDR" doc:"where a storage plugin runs that the logger does not start: dns:///HOST:PORT or unix:///PATH; default: the logger starts it"`
	StorageCertFile     string        `env:"LOGGER_STORAGE_TLS_CERT_FILE" doc:"file of the logger's certificate for the storage plugin elsewhere, in PEM"`
	StorageKeyFile      string        `env:"LOGGER_STORAGE_TLS_KEY_FILE" doc:"file of its key"`
	StorageCAFile       string        `env:"LOGGER_STORAGE_TLS_CA_FILE" doc:"file of the authority of the storage plugin's certificate"`
	AggregatorAddr      string        `env:"LOGGER_AGGREGATOR_ADDR" doc:"where an aggregator plugin runs that the logger does not start, as LOGGER_STORAGE_ADDR"`
	AggregatorCertFile  string        `env:"LOGGER_AGGREGATOR_TLS_CERT_FILE" doc:"file of the logger's certificate for the aggregator plugin elsewhere, in PEM"`
	AggregatorKeyFile   string        `env:"LOGGER_AGGREGATOR_TLS_KEY_FILE" doc:"file of its key"`
	AggregatorCAFile    string        `env:"LOGGER_AGGREGATOR_TLS_CA_FILE" doc:"file of the authority of the aggregator plugin's certificate"`
	Reattach            string        `env:"LOGGER_PLUGIN_REATTACH" doc:"plugins that run in a debugger, as one with LOGGER_PLUGIN_LISTEN prints it"`
	ReattachAllow       bool          `env:"LOGGER_PLUGIN_REATTACH_ALLOW" default:"false" doc:"whether LOGGER_PLUGIN_REATTACH is heeded outside logger dev"`
	StopTimeout         time.Duration `env:"AGGREGATOR_STOP_TIMEOUT_SEC" default:"1" min:"0" max:"3600" doc:"longest wait, in seconds, for the aggregator to finish what is in flight on stop"`
	ListenAddr          string        `env:"LOGGER_LISTEN_ADDR" default:":8088" doc:"address of the HTTP API"`
	AdminAddr           string        `env:"LOGGER_ADMIN_ADDR" doc:"loopback address that serves profiles (/debug/pprof/), such as 127.0.0.1:6060; default: none"`
	PluginPath          string        `env:"LOGGER_PLUGIN_PATH" doc:"colon-separated folders of plugins; default: the folder plugins beside the executable"`
	Checksums           string        `env:"LOGGER_PLUGIN_CHECKSUMS" doc:"colon-separated files in the format of sha256sum; when set, only plugins that they list run, each from a private copy"`
	MaxOpenFiles        int           `env:"LOGGER_PLUGIN_MAX_OPEN_FILES" default:"0" min:"0" max:"1048576" doc:"most open files of one plugin process; 0: as many as the logger itself"`
	MaxMemory           sdk.Bytes     `env:"LOGGER_PLUGIN_MAX_MEMORY" default:"0" doc:"most memory of one plugin process, which is replaced when it takes more; 0: no limit"`
	RunDir              string        `env:"LOGGER_RUN_DIR" doc:"folder for sockets and the plugins' state, best on a tmpfs; default: /dev/shm, else the temporary folder"`
	LogLevel            string        `env:"LOGGER_LOG_LEVEL" default:"info" oneof:"trace debug info warn error" doc:"least level of what is logged"`
	LogFormat           string        `env:"LOGGER_LOG_FORMAT" default:"text" oneof:"text json" doc:"form of the log"`
	MaxLineBytes        sdk.Bytes     `env:"LOGGER_MAX_LINE_BYTES" default:"64KiB" min:"256" max:"1MiB" doc:"longest line that is kept whole; the rest is cut off"`
	AppLabel            string        `env:"LOGGER_APP_LABEL" default:"app" doc:"label of the pods that names the app, also with a prefix: app.kubernetes.io/name"`
	LabelSelector       string        `env:"LOGGER_LABEL_SELECTOR" doc:"pods whose lines are kept: label=value, label!=value, label or !label, with commas between, such as heritage=deis; default: all"`
	NamespacesExclude   string        `env:"LOGGER_NAMESPACES_EXCLUDE" doc:"comma-separated namespaces whose lines are not kept; default: none"`
	ControllerContainer string        `env:"LOGGER_CONTROLLER_CONTAINER" default:"deis-controller" doc:"what the name of the controller's container has in it; its lines name their apps"`
	ControllerNamespace string        `env:"LOGGER_CONTROLLER_NAMESPACE" doc:"the controller's namespace; a container of that name elsewhere is an app's; default: any"`
	ControllerName      string        `env:"LOGGER_CONTROLLER_NAME" default:"deis" doc:"what the controller's lines are shown with, before [controller]"`
	Loki                bool          `env:"LOGGER_LOKI" default:"true" doc:"whether Grafana and logcli can read logs below /loki"`
	TokensFile          string        `env:"LOGGER_API_TOKENS_FILE" doc:"file of the tokens that /v1 and /loki ask for, one a line; default: none is asked for"`
	LogsAskToken        bool          `env:"LOGGER_LOGS_ASK_TOKEN" default:"false" doc:"whether /logs asks for such a token too; the platform's controller sends none"`
	AllowedHosts        string        `env:"LOGGER_ALLOWED_HOSTS" doc:"comma-separated host names that requests to /logs, /v1 and /loki may be for, such as logger.example.com or *.example.com, * for any; IP addresses always may; default: any"`
	PublicURL           string        `env:"LOGGER_PUBLIC_URL" doc:"where clients reach the logger, such as https://example.com/logger: session URLs begin with it; default: they are paths"`
	MaxConnections      int           `env:"LOGGER_MAX_CONNECTIONS" default:"10000" min:"10" max:"1000000" doc:"most HTTP connections at once; idle ones are closed for new ones, and a tenth, at most 100, is kept for /logs and probes, half of it for probes"`
	SessionKeyFile      string        `env:"LOGGER_SESSION_KEY_FILE" doc:"file of the key that signs tail sessions, the same on all hosts; default: a random one, until the host stops"`
	UI                  bool          `env:"LOGGER_UI" default:"true" doc:"whether /, /apps/APP and /sessions/TOKEN are a page on which people read logs in a browser"`
	Origins             string        `env:"LOGGER_CORS_ORIGINS" doc:"comma-separated origins whose pages may read /v1, * for all; default: none"`
	MaxFollowers        int           `env:"LOGGER_MAX_FOLLOWERS" default:"5000" min:"0" max:"1000000" doc:"most live tails at once"`
	BufferLines         int           `env:"LOGGER_FOLLOWER_BUFFER_LINES" default:"10000" min:"1" max:"10000000" doc:"most lines that wait for a slow follower before it misses some"`
	BufferBytes         sdk.Bytes     `env:"LOGGER_FOLLOWER_BUFFER_BYTES" default:"4MiB" min:"64KiB" max:"1GiB" doc:"and most bytes"`
}

// LoadOptions reads the options from the environment, and from the files that it names as
// [plugin.Given] describes. Each error is one line with the variable, its value and what is
// accepted.
func LoadOptions(lookup func(env string) (string, bool)) (Options, error) {
	var unreadable error
	o, err := sdk.LoadSettings[Options](func(env string) (string, bool) {
		text, err := plugin.Given(env, lookup)
		if err != nil && unreadable == nil {
			unreadable = err
		}
		return text, text != ""
	})
	if err = cmp.Or(unreadable, err); err != nil {
		return o, err
	}
	if o.PluginPath == "" {
		o.PluginPath = defaultPluginPath()
	}
	if _, err = o.selection(); err == nil {
		_, err = o.Attachments()
	}
	return o, err
}

// Attachments returns the addresses of the plugins that the logger does not start, by KIND-NAME.
func (o Options) Attachments() (map[string]*plugin.Attachment, error) {
	storage := plugin.Executable{Kind: sdk.StorageKind, Name: o.StorageAdapter}.String()
	aggregator := plugin.Executable{Kind: sdk.AggregatorKind, Name: o.AggregatorType}.String()
	if o.Reattach != "" && !o.ReattachAllow {
		return nil, sdk.Refusef("%s is for debugging, with logger dev: want it unset, or LOGGER_PLUGIN_REATTACH_ALLOW=true", plugin.ReattachEnv)
	}
	all, err := plugin.Reattachments(o.Reattach, storage, aggregator)
	if err != nil {
		return nil, err
	}
	for _, at := range []struct {
		name, env, address string
		files              plugin.TLSFiles
	}{
		{storage, "LOGGER_STORAGE_ADDR", o.StorageAddr, plugin.TLSFiles{Cert: o.StorageCertFile, Key: o.StorageKeyFile, CA: o.StorageCAFile}},
		{aggregator, "LOGGER_AGGREGATOR_ADDR", o.AggregatorAddr, plugin.TLSFiles{Cert: o.AggregatorCertFile, Key: o.AggregatorKeyFile, CA: o.AggregatorCAFile}},
	} {
		a, err := plugin.NewAttachment(at.env, at.address, at.files)
		switch {
		case err != nil:
			return nil, err
		case a == nil:
		case all[at.name] != nil:
			return nil, sdk.Refusef("%s and %s are both set for %s: want one of them", plugin.ReattachEnv, at.env, at.name)
		default:
			all[at.name] = a
		}
	}
	return all, nil
}

// selection returns the rules that decide which records are lines, and of which app.
func (o Options) selection() (*pipeline.Selection, error) {
	s := &pipeline.Selection{
		AppLabel: o.AppLabel, LabelSelector: o.LabelSelector, NamespacesExclude: o.NamespacesExclude,
		ControllerContainer: o.ControllerContainer, ControllerNamespace: o.ControllerNamespace,
	}
	if sdk.CheckApp(o.ControllerName) != nil {
		return nil, sdk.Refusef("LOGGER_CONTROLLER_NAME=%.80q: want letters, digits, '-', '_' or '.', with a letter or digit at both ends", o.ControllerName)
	}
	return s, s.Compile()
}

// defaultPluginPath returns the folder "plugins" beside the executable. If the executable is in a
// folder sbin, as in the image, it also returns the folder "plugins" beside that one.
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

// Logger makes the host's logger according to the options.
func (o Options) Logger(out io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name:       "logger",
		Level:      hclog.LevelFromString(o.LogLevel),
		JSONFormat: o.LogFormat == "json",
		Output:     out,
	})
}
