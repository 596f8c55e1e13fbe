package charts

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/charttest"
)

type service struct {
	Metadata struct{ Labels map[string]string }
	Spec     struct {
		Selector map[string]string
		Ports    []struct{ Name string }
	}
}

// TestOnlyTheLoggerIsScraped checks that the ServiceMonitor selects the logger's Service
// and not that of its Redis.
func TestOnlyTheLoggerIsScraped(t *testing.T) {
	t.Parallel()
	all := charttest.Render(t, `metrics: {serviceMonitor: {enabled: true}}`)
	var monitor struct {
		Spec struct {
			Selector  selector
			Endpoints []struct{ Port, Path string }
		}
	}
	if !all.Find(t, "ServiceMonitor", "deis-logger", &monitor) {
		t.Fatal("no ServiceMonitor was rendered")
	}
	for name, want := range map[string]bool{"deis-logger": true, "deis-logger-redis": false} {
		var s service
		if !all.Find(t, "Service", name, &s) {
			t.Fatalf("no Service %s was rendered", name)
		}
		selected := true
		for label, value := range monitor.Spec.Selector.MatchLabels {
			selected = selected && s.Metadata.Labels[label] == value
		}
		if selected != want {
			t.Errorf("Service %s is scraped: %v, want %v", name, selected, want)
		}
		if want && s.Spec.Ports[0].Name != monitor.Spec.Endpoints[0].Port {
			t.Errorf("its port is %q, the ServiceMonitor asks %q", s.Spec.Ports[0].Name, monitor.Spec.Endpoints[0].Port)
		}
	}
}

// TestSidecarPlugins checks that a sidecar listens where the logger looks for it, in a folder that
// both containers mount.
func TestSidecarPlugins(t *testing.T) {
	t.Parallel()
	pod := charttest.Render(t, `{storage: p, sidecarPlugins: [{kind: storage, image: "a:1", command: [/p]}, {kind: aggregator, image: "b:1"}]}`).Logger(t)
	secrets := charttest.Secrets{}
	logger := pod.Containers[0].Environment(t, secrets)
	for i, kind := range []string{"storage", "aggregator"} {
		sidecar := pod.Containers[1+i]
		env := sidecar.Environment(t, secrets)
		address := env["LOGGER_PLUGIN_LISTEN"]
		if sidecar.Name != kind || address == "" || logger["LOGGER_"+strings.ToUpper(kind)+"_ADDR"] != address {
			t.Errorf("%s listens at %q, the logger looks at %q", sidecar.Name, address, logger["LOGGER_"+strings.ToUpper(kind)+"_ADDR"])
		}
		folder := filepath.Dir(strings.TrimPrefix(address, "unix://"))
		volume := func(c charttest.Container, path string) string {
			at := slices.IndexFunc(c.VolumeMounts, func(m charttest.Mount) bool { return m.MountPath == path })
			if at < 0 {
				t.Fatalf("%s has no %s", c.Name, path)
			}
			return c.VolumeMounts[at].Name
		}
		if volume(sidecar, folder) != volume(pod.Containers[0], folder) {
			t.Errorf("%s has another %s than the logger", kind, folder)
		}
		volume(sidecar, env["LOGGER_PLUGIN_STATE_DIR"])
	}
	const plain = `{remotePlugins: [{kind: storage, address: "dns:///a:1"}]}`
	if got := charttest.Refusal(t, plain); !strings.Contains(got, "schema") {
		t.Errorf("a plugin elsewhere without TLS: %s", got)
	}
}

// TestNumbersAreSpelledOut checks that no number is written with an exponent, which the program and
// Kubernetes refuse.
func TestNumbersAreSpelledOut(t *testing.T) {
	t.Parallel()
	all := charttest.Render(t, `{stopTimeoutSeconds: 0.00001, terminationGracePeriodSeconds: 1000000, redis: {pipelineTimeoutSeconds: 1234567.5},
nsq: {messageTimeoutSeconds: 900}, linesPerApp: 10000000, settings: {A: 1000000, B: -2.5e+6, C: 0.25, D: 6, E: true, F: "1e6"}}`)
	env := all.Logger(t).Containers[0].Environment(t, charttest.Secrets{"logger-redis-creds": {"host": "", "port": "", "password": "", "db": ""}})
	for name, want := range map[string]string{
		"AGGREGATOR_STOP_TIMEOUT_SEC": "0.00001", "DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS": "1234567.5", "NSQ_MSG_TIMEOUT_SECONDS": "900",
		"NUMBER_OF_LINES": "10000000", "A": "1000000", "B": "-2500000", "C": "0.25", "D": "6", "E": "true", "F": "1e6",
	} {
		if env[name] != want {
			t.Errorf("%s=%q, want %q", name, env[name], want)
		}
	}
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Grace string `yaml:"terminationGracePeriodSeconds"`
				}
			}
		}
	}
	if !all.Find(t, "Deployment", "deis-logger", &deployment) || deployment.Spec.Template.Spec.Grace != "1000000" {
		t.Errorf("%+v", deployment)
	}
}

// TestRedisHasOneSecret checks that Redis and the logger take the same password, even from a secret
// that the chart does not make.
func TestRedisHasOneSecret(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values, secret string
		made           bool
	}{
		"the chart's":    {``, "logger-redis-creds", true},
		"another name":   {`redis: {secretName: mine}`, "mine", true},
		"somebody's own": {`redis: {secretName: mine, createSecret: false}`, "mine", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := charttest.Render(t, tc.values)
			var secret struct{ Data map[string]string }
			if made := all.Find(t, "Secret", tc.secret, &secret); made != tc.made {
				t.Errorf("the secret is made: %v, want %v", made, tc.made)
			}
			given := charttest.Secrets{tc.secret: {"host": "h", "port": "1", "password": "secret", "db": "0"}}
			if tc.made {
				for key := range maps.Keys(secret.Data) {
					given[tc.secret][key] = "made"
				}
			}
			logger, redis := all.Logger(t), all.Pod(t, "deis-logger-redis")
			env := logger.Containers[0].Environment(t, given)
			got, password := mounted(t, logger, given, env["DEIS_LOGGER_REDIS_PASSWORD_FILE"]), mounted(t, redis, given, "/etc/redis-password/password")
			if got == "" || got != password {
				t.Errorf("the logger's password is %q, Redis's %q", got, password)
			}
			for _, c := range []charttest.Container{logger.Containers[0], redis.Containers[0]} {
				for name, value := range c.Environment(t, given) {
					if strings.Contains(name, "PASSWORD") && !strings.HasPrefix(value, "/etc/logger/secrets/") {
						t.Errorf("%s is in the environment of %s", name, c.Name)
					}
				}
			}
		})
	}
}

// mounted returns what the file holds in the pod's first container.
func mounted(t *testing.T, pod charttest.Pod, secrets charttest.Secrets, file string) string {
	t.Helper()
	root := t.TempDir()
	pod.LayOut(t, pod.Containers[0], secrets, root)
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRedisTakesAnyPassword runs the container's command here: a user's own password may contain
// characters that mean something to the shell or in Redis's configuration.
func TestRedisTakesAnyPassword(t *testing.T) {
	t.Parallel()
	c := charttest.Render(t, ``).Pod(t, "deis-logger-redis").Containers[0]
	for i, password := range []string{
		"plain", "two words", " blanks around ", `a"quote`, "an'other", "a #comment", "#", `back\slash\n`, `\x41`, "$HOME `id` $(id)",
		"two\nlines\nmaxmemory 1", "ends\n", "%s%d&", "CONFIG", "häßlich", strings.Repeat("long ", 500),
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			socket := filepath.Join(dir, "s")
			if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600); err != nil {
				t.Fatal(err)
			}
			script := strings.NewReplacer("dir /data", "port 0\nunixsocket "+socket+"\ndir "+dir, "/etc/redis-password", dir).Replace(c.Args[0])
			cmd := exec.CommandContext(t.Context(), c.Command[0], append(slices.Clone(c.Command[1:]), script)...)
			cmd.WaitDelay = time.Second
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan string, 1)
			go func() { ended <- fmt.Sprint(cmd.Wait()) }()
			conn, err := net.Dial("unix", socket)
			for err != nil {
				select {
				case end := <-ended:
					t.Fatalf("it ended: %s: %s", end, &out)
				case <-time.After(10 * time.Millisecond):
				}
				conn, err = net.Dial("unix", socket)
			}
			defer func() {
				_ = conn.Close()
				_ = cmd.Process.Kill()
				<-ended // killed
			}()
			replies := bufio.NewReader(conn)
			password := strings.TrimRight(password, "\n") // as the logger reads it
			for _, try := range []struct{ password, want string }{{password + "x", "-WRONGPASS"}, {password, "+OK"}} {
				if _, err := fmt.Fprintf(conn, "*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n", len(try.password), try.password); err != nil {
					t.Fatal(err)
				}
				if got, err := replies.ReadString('\n'); !strings.HasPrefix(got, try.want) {
					t.Errorf("AUTH %q: %s %v, want %s", try.password, got, err, try.want)
				}
			}
		})
	}
}

// TestDownIsAskedOfTheService checks that LoggerDown uses the job that a ServiceMonitor makes: the
// Service's name.
func TestDownIsAskedOfTheService(t *testing.T) {
	t.Parallel()
	var rules struct {
		Spec struct {
			Groups []struct {
				Rules []struct{ Alert, Expr string }
			}
		}
	}
	if !charttest.Render(t, `{service: {name: mine}, metrics: {rules: {enabled: true}}}`).Find(t, "PrometheusRule", "deis-logger", &rules) {
		t.Fatal("no PrometheusRule was rendered")
	}
	for _, rule := range rules.Spec.Groups[0].Rules {
		if rule.Alert == "LoggerDown" {
			if strings.Count(rule.Expr, `job="mine"`) != 2 || strings.Contains(rule.Expr, "deis-logger") {
				t.Error(rule.Expr)
			}
			return
		}
	}
	t.Error("no alert LoggerDown")
}

// TestDashboardShows checks that the dashboard has metrics that the chart shows nowhere else, and
// that each panel has a place of its own.
func TestDashboardShows(t *testing.T) {
	t.Parallel()
	var configMap struct{ Data map[string]string }
	if !charttest.Render(t, `metrics: {dashboard: {enabled: true}}`).Find(t, "ConfigMap", "deis-logger-dashboard", &configMap) {
		t.Fatal("no dashboard was rendered")
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(configMap.Data["logger.json"]), &dashboard); err != nil {
		t.Fatal(err)
	}
	exprs, places, ids := "", map[[2]int]string{}, map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("%s has the id %d of another", p.Title, p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			exprs += target.Expr + "\n"
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := places[at]; other != "" {
					t.Fatalf("%s is above %s", p.Title, other)
				}
				places[at] = p.Title
			}
		}
	}
	for _, metric := range []string{"logger_kept_apps", "logger_kept_bytes", "logger_build_info"} {
		if !strings.Contains(exprs, metric) {
			t.Errorf("no panel shows %s", metric)
		}
	}
}

// TestWhichLinesAreWhose: unless the values say otherwise, the controller is expected only in the
// release's own namespace. The schema refuses what the host would refuse.
func TestWhichLinesAreWhose(t *testing.T) {
	for values, want := range map[string]map[string]string{
		``: {
			"LOGGER_CONTROLLER_NAMESPACE": "deis", "LOGGER_CONTROLLER_CONTAINER": "deis-controller", "LOGGER_CONTROLLER_NAME": "deis",
			"LOGGER_APP_LABEL": "app", "LOGGER_LABEL_SELECTOR": "", "LOGGER_NAMESPACES_EXCLUDE": "",
		},
		`{controller: {namespace: other}, apps: {excludeNamespaces: [a, b]}}`: {"LOGGER_CONTROLLER_NAMESPACE": "other", "LOGGER_NAMESPACES_EXCLUDE": "a,b"},
	} {
		secrets := charttest.Secrets{"logger-redis-creds": {"host": "", "port": "", "password": "", "db": ""}}
		env := charttest.Render(t, values).Logger(t).Containers[0].Environment(t, secrets)
		for name, value := range want {
			if env[name] != value {
				t.Errorf("%q: %s is %q, want %q", values, name, env[name], value)
			}
		}
	}
	for _, values := range []string{
		`{apps: {label: "a b"}}`, `{apps: {label: ""}}`, `{apps: {selector: "a in (b)"}}`, `{apps: {excludeNamespaces: ["a,b"]}}`,
		`{controller: {namespace: "A"}}`, `{controller: {container: ""}}`, `{controller: {name: "x]"}}`,
	} {
		if got := charttest.Refusal(t, values); !strings.Contains(got, "schema") {
			t.Errorf("%s: %s", values, got)
		}
	}
}
