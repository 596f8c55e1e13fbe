package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/host"
	"github.com/deis/logger/internal/charttest"
	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/redistest"
)

// TestChartSettings: every setting of the chart reaches the process that it is meant for, and a
// published line can be read. The test renders the chart, and runs the built programs with the
// container's environment and the files of its volumes.
func TestChartSettings(t *testing.T) {
	t.Run("a Redis somewhere else", testFarRedis)
	t.Run("memory", testInMemory)
	t.Run("plugins out of other images", testWithPlugins)
	t.Run("plugins that nobody checks", testUnchecked)
}

const sessionKey = "a key of at least thirty-two bytes, for sessions"

func testFarRedis(t *testing.T) {
	certificates := redistest.NewCertificates(t)
	redis := redistest.StartTLS(t, certificates, "--tls-auth-clients", "no", "--requirepass", "from-the-secret")
	redisHost, redisPort, _ := net.SplitHostPort(redis.Addr)
	authority, err := os.ReadFile(certificates.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	queue := harness.NewQueue(t)
	nsqHost, nsqPort, _ := net.SplitHostPort(queue.TCPAddr())
	p := newChartPod(t, farRedis, map[string]string{"nsq.host": nsqHost, "nsq.port": nsqPort}, charttest.Secrets{
		"far":    {"host": redisHost, "port": redisPort, "password": "from-the-secret", "db": "3"},
		"tokens": {"tokens": "opens-it\n"}, "session": {"key": sessionKey}, "users": {"name": "default"}, "authority": {"ca.pem": string(authority)},
	})
	p.wantReached(farRedis, map[string]string{
		"aggregator-nsq DEIS_NSQD_SERVICE_HOST": nsqHost, "aggregator-nsq DEIS_NSQD_SERVICE_PORT_TRANSPORT": nsqPort,
		"storage-redis DEIS_LOGGER_REDIS_SERVICE_HOST": redisHost, "storage-redis DEIS_LOGGER_REDIS_SERVICE_PORT": redisPort,
	})
	l := p.start()
	queue.Publish("t", harness.Numbered(1, 1), harness.Message("app-2", strings.Repeat("x", 3000)))
	l.Until("the lines are kept", func() bool { return l.Lines("app-1") != "" && l.Lines("app-2") != "" })
	if got := strings.Count(l.Lines("app-2"), "x"); got != 2048 {
		t.Errorf("%d bytes of a long line are kept, want 2048", got)
	}
	if stats := queue.Channel("t", "c"); !stats.Empty() || stats.Messages != 2 {
		t.Errorf("the channel: %+v", stats)
	}
	if log := strings.Join(l.Logs(), "\n"); !strings.Contains(log, `"@level":"debug"`) {
		t.Errorf("nothing is logged at debug: %s", log)
	}
	if status, _ := ask(t, http.MethodGet, l.URL+"/v1/apps", ""); status != http.StatusUnauthorized {
		t.Errorf("/v1 without a token answers %d", status)
	}
	wantSession(t, l.URL)
}

// wantSession checks that the token opens /v1, and that the key signs sessions.
func wantSession(t *testing.T, url string) {
	t.Helper()
	status, body := ask(t, http.MethodPost, url+"/v1/apps/app-1/sessions", "opens-it")
	var session struct{ URL string }
	if err := json.Unmarshal(body, &session); err != nil || status != http.StatusCreated {
		t.Fatalf("a session: %d %s", status, body)
	}
	text, code, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(session.URL, "/v1/sessions/"), "/tail"), ".")
	mac := hmac.New(sha256.New, []byte(sessionKey))
	mac.Write([]byte("session " + text))
	if want := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); code != want {
		t.Errorf("the session is signed by another key than the secret's: %s", session.URL)
	}
}

func testInMemory(t *testing.T) {
	lookupd := nsqtest.StartLookupd(t)
	registered, named := harness.NewQueue(t, lookupd.Register), harness.NewQueue(t)
	registered.CreateChannel("logs", "consume")
	p := newChartPod(t, inMemory, map[string]string{"nsq.lookupd": fmt.Sprintf("[%q]", lookupd.HTTPAddr()), "nsq.nsqd": fmt.Sprintf("[%q]", named.TCPAddr())}, nil)
	p.wantReached(inMemory, map[string]string{
		"aggregator-nsq NSQ_LOOKUPD_ADDRS": lookupd.HTTPAddr(), "aggregator-nsq NSQ_NSQD_ADDRS": named.TCPAddr(),
		"storage-memory NUMBER_OF_LINES": "1000", "aggregator-nsq NSQ_TOPIC": "logs", "aggregator-nsq NSQ_CHANNEL": "consume",
	})
	l := p.start()
	registered.Publish("logs", harness.Numbered(1, 1))
	named.Publish("logs", harness.Numbered(1, 2))
	l.Until("the lines of both nsqd are kept", func() bool { return l.Lines("app-1") != "" && l.Lines("app-2") != "" })
}

func testWithPlugins(t *testing.T) {
	queue := harness.NewQueue(t)
	program := buildExtra(t)
	sum := sha256.Sum256(program)
	sums := fmt.Sprintf("%x  logger-storage-kept\n%x  logger-aggregator-queue\n", sum, sum)
	p := newChartPod(t, withPlugins, map[string]string{"checksums": charttest.YAML(t, sums), "settings": charttest.YAML(t, harness.NSQEnv(queue.TCPAddr()))}, nil)
	p.install("kept", "/theirs/logger-storage-kept", program)
	p.install("queue", "/plugins/logger-aggregator-queue", program)
	p.wantReached(withPlugins, map[string]string{"host LOGGER_PLUGIN_CHECKSUMS": "ROOT/opt/logger/plugins.sha256:ROOT/etc/logger/extra.sha256"})
	for plugin, checksum := range p.checksums {
		if checksum != "matches" {
			t.Errorf("the checksum of %s: %s", plugin, checksum)
		}
	}
	l := p.start()
	queue.Publish("logs", harness.Numbered(1, 1))
	l.Until("the line is kept", func() bool { return l.Lines("app-1") != "" })
	if storage, aggregator := l.Plugin("storage").Name, l.Plugin("aggregator").Name; storage != "kept" || aggregator != "queue" {
		t.Errorf("the plugins are %s and %s", storage, aggregator)
	}
}

func testUnchecked(t *testing.T) {
	p := newChartPod(t, unchecked, nil, charttest.Secrets{
		"mine": {"host": "redis.example", "port": "6379", "password": "p", "db": "5"}, "client": {"tls.crt": "c", "tls.key": "k", "ca.crt": "a"},
	})
	p.install("kept", "/theirs/logger-storage-kept", buildExtra(t))
	p.wantReached(unchecked, nil)
	if checksum := p.checksums["storage-kept"]; checksum != "unchecked" {
		t.Errorf("the checksum of the plugin: %q", checksum)
	}
}

// chartPod holds the logger's pod, laid out in a folder of this machine.
type chartPod struct {
	t         *testing.T
	pod       charttest.Pod
	logger    charttest.Container
	root      string
	env       map[string]string
	checksums map[string]string // of the plugins that `logger plugins` lists
}

func newChartPod(t *testing.T, set reaches, own map[string]string, secrets charttest.Secrets) *chartPod {
	t.Helper()
	values := map[string]any{}
	for name, r := range set {
		charttest.Set(t, values, name, r.set)
	}
	for name, text := range own {
		charttest.Set(t, values, name, text)
	}
	p := &chartPod{t: t, pod: charttest.Render(t, charttest.YAML(t, values)).Logger(t), root: t.TempDir()}
	p.logger = p.pod.Containers[0]
	p.pod.LayOut(t, p.logger, secrets, p.root)
	env := p.logger.Environment(t, secrets)
	mounted := func(m charttest.Mount) bool { return m.MountPath == env["LOGGER_RUN_DIR"] }
	if !slices.ContainsFunc(p.logger.VolumeMounts, mounted) {
		t.Errorf("LOGGER_RUN_DIR=%s is not mounted", env["LOGGER_RUN_DIR"])
	}
	if want := fmt.Sprintf(":%d", p.logger.Ports[0].ContainerPort); env["LOGGER_LISTEN_ADDR"] != want {
		t.Errorf("LOGGER_LISTEN_ADDR=%s, and the container's port is %s", env["LOGGER_LISTEN_ADDR"], want)
	}
	p.env = charttest.Moved(env, p.logger, p.root)
	// A run folder below the root would have too long a path for sockets, and the chart's port may
	// be in use.
	delete(p.env, "LOGGER_RUN_DIR")
	p.env["LOGGER_LISTEN_ADDR"] = "127.0.0.1:0"
	p.bundle()
	return p
}

// bundle lays out the image's own plugins where the image has them.
func (p *chartPod) bundle() {
	p.t.Helper()
	dir := filepath.Join(p.root, "opt/logger")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Symlink(harness.Binary("plugins"), filepath.Join(dir, "plugins")); err != nil {
		p.t.Fatal(err)
	}
	sums := ""
	for _, plugin := range []string{"storage-memory", "storage-redis", "aggregator-nsq"} {
		sums += fmt.Sprintf("%x  logger-%s\n", sha256.Sum256(read(p.t, harness.Binary("plugins/logger-"+plugin))), plugin)
	}
	if err := os.WriteFile(filepath.Join(dir, "plugins.sha256"), []byte(sums), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// buildExtra builds the plugins that are not bundled, and returns their one program.
func buildExtra(t *testing.T) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "extra")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "./testdata/extra").CombinedOutput(); err != nil {
		t.Fatalf("build the plugins: %v: %s", err, out)
	}
	return read(t, file)
}

// install runs the init container of an extra plugin. Its image has the program at the path
// executable.
func (p *chartPod) install(name, executable string, program []byte) {
	p.t.Helper()
	image, folder := p.t.TempDir(), filepath.Dir(executable)
	if err := os.Mkdir(filepath.Join(image, folder), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(image, executable), program, 0o755); err != nil {
		p.t.Fatal(err)
	}
	at := slices.IndexFunc(p.pod.InitContainers, func(c charttest.Container) bool { return c.Name == "plugin-"+name })
	if at < 0 {
		p.t.Fatalf("no init container brings %s", name)
	}
	c := p.pod.InitContainers[at]
	volume := filepath.Join(p.root, c.VolumeMounts[0].MountPath)
	if err := os.MkdirAll(volume, 0o755); err != nil {
		p.t.Fatal(err)
	}
	command := slices.Clone(c.Command)
	for i, arg := range command {
		switch {
		case arg == folder:
			command[i] = filepath.Join(image, folder)
		case strings.HasPrefix(arg, c.VolumeMounts[0].MountPath+"/"):
			command[i] = filepath.Join(p.root, arg)
		}
	}
	if out, err := exec.CommandContext(p.t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
		p.t.Fatalf("%q: %v: %s", command, err, out)
	}
}

// wantReached checks that each value of set, and each further variable, has reached its process.
func (p *chartPod) wantReached(set reaches, further map[string]string) {
	p.t.Helper()
	got := p.variables()
	check := func(why, at, want string) {
		p.t.Helper()
		want = strings.ReplaceAll(want, "ROOT", p.root)
		if value, ok := got[at]; !ok || value != want {
			p.t.Errorf("%s: %s is %q, want %q", why, at, value, want)
		}
	}
	for name, r := range set {
		for at, want := range r.at {
			check(name, at, want)
		}
	}
	for at, want := range further {
		check("the chart", at, want)
	}
}

// variables returns what each process would get, as that process understands it: the host's
// options, and the plugins' settings as `logger plugins` shows them.
func (p *chartPod) variables() map[string]string {
	p.t.Helper()
	all := map[string]string{}
	for name, value := range p.env {
		all["container "+name] = value
	}
	options, err := host.LoadOptions(func(name string) (string, bool) { v, ok := p.env[name]; return v, ok })
	if err != nil {
		p.t.Fatal(err)
	}
	fields := reflect.ValueOf(options)
	for i := range fields.NumField() {
		all["host "+fields.Type().Field(i).Tag.Get("env")] = fmt.Sprint(fields.Field(i).Interface())
	}
	cmd, _ := harness.Command(p.t, []string{"plugins", "-o", "json"}, p.env)
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("logger plugins: %v: %s", err, out)
	}
	var plugins []struct {
		Kind, Name, Checksum, Error string
		Settings                    []struct{ Name, Value string }
	}
	if err := json.Unmarshal(out, &plugins); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	p.checksums = map[string]string{}
	for _, plugin := range plugins {
		name := plugin.Kind + "-" + plugin.Name
		if plugin.Error != "" {
			p.t.Errorf("%s: %s", name, plugin.Error)
		}
		p.checksums[name] = plugin.Checksum
		for _, s := range plugin.Settings {
			all[name+" "+s.Name] = s.Value
		}
	}
	return all
}

// start runs the logger in the pod's environment until the end of the test.
func (p *chartPod) start() *harness.Logger {
	p.t.Helper()
	return harness.Start(p.t, maps.Clone(p.env))
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ask sends a request, with the bearer token unless that is empty.
func ask(t *testing.T, method, url, token string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true // leaves no idle connection behind
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}
