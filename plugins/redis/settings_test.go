package redis

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func TestSettings(t *testing.T) {
	declared, err := sdk.DeclareSettings[Settings]()
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{
		"NUMBER_OF_LINES":                            "1000",
		"DEIS_LOGGER_REDIS_SERVICE_HOST":             "",
		"DEIS_LOGGER_REDIS_SERVICE_PORT":             "6379",
		"DEIS_LOGGER_REDIS_PASSWORD":                 "",
		"DEIS_LOGGER_REDIS_DB":                       "0",
		"DEIS_LOGGER_REDIS_PIPELINE_LENGTH":          "50",
		"DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS": "1",
		"LOGGER_APP_RETENTION":                       "720h",
		"LOGGER_REDIS_URLS":                          "",
		"LOGGER_REDIS_MODE":                          "single",
		"LOGGER_REDIS_USERNAME":                      "",
		"LOGGER_REDIS_SENTINEL_MASTER":               "",
		"LOGGER_REDIS_SENTINEL_PASSWORD":             "",
		"LOGGER_REDIS_TLS":                           "false",
		"LOGGER_REDIS_TLS_CA_FILE":                   "",
		"LOGGER_REDIS_TLS_CERT_FILE":                 "",
		"LOGGER_REDIS_TLS_KEY_FILE":                  "",
		"LOGGER_REDIS_TLS_SKIP_VERIFY":               "false",
		"LOGGER_REDIS_WAIT_REPLICAS":                 "0",
	}
	secret := []string{"DEIS_LOGGER_REDIS_PASSWORD", "LOGGER_REDIS_SENTINEL_PASSWORD"}
	for _, s := range declared {
		if want, ok := defaults[s.Env]; !ok || s.Default != want {
			t.Errorf("%s has default %q, want %q", s.Env, s.Default, want)
		}
		delete(defaults, s.Env)
		if s.Secret != slices.Contains(secret, s.Env) {
			t.Errorf("%s: secret is %t", s.Env, s.Secret)
		}
	}
	if len(defaults) > 0 {
		t.Errorf("not declared: %v", defaults)
	}
	for env, values := range map[string][]string{
		"NUMBER_OF_LINES":                            {"0", "-1", "many"},
		"DEIS_LOGGER_REDIS_SERVICE_PORT":             {"0", "65536", "tcp://10.0.0.1:6379"},
		"DEIS_LOGGER_REDIS_DB":                       {"-1"},
		"DEIS_LOGGER_REDIS_PIPELINE_LENGTH":          {"0"},
		"DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS": {"-1", "1s"},
		"LOGGER_REDIS_MODE":                          {"Cluster", "replicated"},
		"LOGGER_REDIS_TLS":                           {"yes"},
		"LOGGER_REDIS_TLS_SKIP_VERIFY":               {"maybe"},
		"LOGGER_REDIS_WAIT_REPLICAS":                 {"-1", "101", "all"},
	} {
		for _, value := range values {
			_, err := sdk.LoadSettings[Settings](func(name string) (string, bool) {
				if name == env {
					return value, true
				}
				return "", false
			})
			if !errors.Is(err, sdk.ErrInvalid) || !contains(err.Error(), env) {
				t.Errorf("%s=%s: %v, want it refused by name", env, value, err)
			}
		}
	}
}

func TestHostDefaultsToLocalhost(t *testing.T) {
	s := openWith(t, Settings{Mode: single, Port: 7001}, sdk.Host{})
	if s.name != "redis at localhost:7001" {
		t.Fatalf("name is %s", s.name)
	}
	s = openWith(t, Settings{Mode: single, Host: "fd00::1", Port: 7001}, sdk.Host{})
	if s.name != "redis at [fd00::1]:7001" {
		t.Fatalf("name is %s", s.name)
	}
}

func TestLines(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.Lines = 7 })
	mustAppend(t, s, batch("w", 1, "app", 1, 20))
	want(t, s, "app", 14, 14, 20)
	for i := 21; i < 30; i++ {
		mustAppend(t, s, batch("w", uint64(i), "app", i, i))
	}
	want(t, s, "app", 23, 23, 29)
	if n := server.MustDo("XLEN", blocksKey("app")); n != "7" {
		t.Fatalf("the log has %s elements, want 7 blocks of one entry", n)
	}
}

func TestPort(t *testing.T) {
	one, two := redistest.Start(t), redistest.Start(t)
	mustAppend(t, open(t, one), batch("w", 1, "app", 1, 1))
	want(t, open(t, two), "app", 1, 1, 0)
	want(t, open(t, one), "app", 1, 1, 1)
}

func TestDB(t *testing.T) {
	server := redistest.Start(t)
	three := open(t, server, func(s *Settings) { s.DB = 3 })
	mustAppend(t, three, batch("w", 1, "app", 1, 2))
	want(t, open(t, server), "app", 1, 1, 0)
	want(t, three, "app", 1, 1, 2)

	none := open(t, server, func(s *Settings) { s.DB = 16 })
	if err := none.Check(t.Context()); err == nil || !contains(err.Error(), server.Addr) {
		t.Fatalf("Check with a database that is not there: %v", err)
	}
}

func TestPassword(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "right-secret")
	right := open(t, server, func(s *Settings) { s.Password = "right-secret" })
	mustAppend(t, right, batch("w", 1, "app", 1, 2))
	want(t, right, "app", 1, 1, 2)
	if err := right.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"", "wrong-secret"} {
		var log bytes.Buffer
		settings := right.settings
		settings.Password = password
		s := openWith(t, settings, sdk.Host{Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &log})})
		_, read := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: 1})
		_, apps := s.Apps(t.Context(), "", 0)
		for call, err := range map[string]error{
			"Append": s.Append(t.Context(), batch("w", 2, "app", 3, 3)),
			"Read":   read,
			"Apps":   apps,
			"Delete": s.Delete(t.Context(), "app"),
			"Check":  s.Check(t.Context()),
		} {
			wantUnavailable(t, s, err)
			text := err.Error()
			if contains(text, "secret") || contains(text, "\n") || !contains(text, "DEIS_LOGGER_REDIS_PASSWORD") {
				t.Errorf("%s: %q should be one line that names the variable and not its value", call, text)
			}
		}
		if contains(log.String(), "secret") {
			t.Errorf("the password is in the log: %s", log.String())
		}
	}
	want(t, right, "app", 1, 1, 2)
}

func TestPipelineLength(t *testing.T) {
	server := redistest.Start(t)
	for _, c := range []struct {
		length  int
		entries []int // of each app
		want    []int // of each pipeline, the longest first
	}{
		{50, []int{1}, []int{1}},
		{50, []int{50}, []int{50}},
		{50, []int{51}, []int{50, 1}},
		{50, []int{20, 20, 10}, []int{50}},
		{4, []int{10}, []int{4, 4, 2}},
		{4, []int{3, 2, 3}, []int{3, 3, 2}}, // two lanes
		// An app goes to the next pipeline as a whole, unless that would leave much of the first
		// one empty.
		{40, []int{30, 30, 30, 30, 30, 30}, []int{30, 30, 30, 30, 30, 30}},
		{40, []int{29, 29, 29, 29, 29, 29}, []int{40, 40, 29, 29, 18, 18}},
		{1, []int{2, 1, 2}, []int{1, 1, 1, 1, 1}},
		{1000, []int{300, 0, 400}, []int{700}},
	} {
		t.Run(fmt.Sprintf("%d of %v", c.length, c.entries), func(t *testing.T) {
			server.MustDo("FLUSHALL")
			s := open(t, server, func(s *Settings) { s.PipelineLength = c.length })
			var b sdk.Batch
			for i, n := range c.entries {
				b.Apps = append(b.Apps, sdk.AppEntries{App: fmt.Sprint("app-", i), Entries: numbered(1, n)})
			}
			b.ID = sdk.BatchID{Writer: "w", Sequence: 1}
			server.MustDo("SCRIPT", "LOAD", appendScript)
			watching := watch(s)
			mustAppend(t, s, b)
			sent := watching.sent()
			slices.Sort(sent)
			slices.Reverse(sent)
			if longest := slices.Max(sent); longest > c.length {
				t.Errorf("a pipeline carries %d entries", longest)
			}
			if !slices.Equal(sent, c.want) {
				t.Errorf("pipelines carry %v, want %v", sent, c.want)
			}
			for i, n := range c.entries {
				want(t, s, fmt.Sprint("app-", i), 1, 1, n)
			}
		})
	}
}

// TestPipelineTimeout: on a slow Redis, an append gives up once lines have waited too long. The
// next try continues where it stopped.
func TestPipelineTimeout(t *testing.T) {
	const delay, total = 40 * time.Millisecond, 12
	server := redistest.Start(t)
	slow := func(timeout time.Duration) (*storage, *pipelines) {
		server.MustDo("FLUSHALL")
		s := open(t, server, func(s *Settings) { s.PipelineLength, s.PipelineTimeout = 1, timeout })
		w := watch(s)
		w.after = func(err error) error {
			<-time.After(delay) // the delay of a distant Redis
			return err
		}
		return s, w
	}
	s, w := slow(0)
	mustAppend(t, s, batch("w", 1, "app", 1, total))
	if sent := w.sent(); len(sent) < total {
		t.Fatalf("%d pipelines, want %d", len(sent), total)
	}
	s, _ = slow(time.Minute)
	mustAppend(t, s, batch("w", 1, "app", 1, total))

	s, _ = slow(delay + delay/2)
	server.MustDo("SCRIPT", "LOAD", appendScript)
	for tries := 1; ; tries++ {
		err := s.Append(t.Context(), batch("w", 1, "app", 1, total))
		if err == nil {
			if tries < total/2 {
				t.Errorf("done after only %d tries, although each stores at most two entries", tries)
			}
			break
		}
		wantUnavailable(t, s, err)
		if tries > total {
			t.Fatalf("no progress: %v", err)
		}
	}
	want(t, s, "app", 1, 1, total)
}
