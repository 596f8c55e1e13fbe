package redis

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// load reads the settings from the environment.
func load(t *testing.T, env map[string]string) Settings {
	t.Helper()
	settings, err := sdk.LoadSettings[Settings](func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		env    map[string]string
		addrs  []string
		secure bool
		name   string
	}{
		{map[string]string{}, []string{"localhost:6379"}, false, "redis at localhost:6379"},
		{
			map[string]string{"LOGGER_REDIS_TLS": "true", "DEIS_LOGGER_REDIS_SERVICE_HOST": "fd00::1"},
			[]string{"[fd00::1]:6379"},
			true, "redis at [fd00::1]:6379",
		},
		{map[string]string{"LOGGER_REDIS_URLS": "redis.example:7000"}, []string{"redis.example:7000"}, false, "redis at redis.example:7000"},
		{map[string]string{"LOGGER_REDIS_URLS": "rediss://r:1/"}, []string{"r:1"}, true, "redis at r:1"},
		{map[string]string{"LOGGER_REDIS_MODE": "cluster"}, []string{"localhost:6379"}, false, "redis cluster at localhost:6379"},
		{
			map[string]string{"LOGGER_REDIS_MODE": "cluster", "LOGGER_REDIS_URLS": "a:1, redis://b:2,a:1"},
			[]string{"a:1", "b:2"},
			false, "redis cluster at a:1,b:2",
		},
		{
			map[string]string{"LOGGER_REDIS_MODE": "cluster", "LOGGER_REDIS_URLS": "rediss://a:1,b:2", "LOGGER_REDIS_TLS": "1"},
			[]string{"a:1", "b:2"},
			true, "redis cluster at a:1,b:2",
		},
		{
			map[string]string{
				"LOGGER_REDIS_MODE": "sentinel", "LOGGER_REDIS_URLS": "a:26379,b:26379", "LOGGER_REDIS_SENTINEL_MASTER": "logs",
				"LOGGER_REDIS_SENTINEL_PASSWORD": "secret", "DEIS_LOGGER_REDIS_DB": "3",
			},
			[]string{"a:26379", "b:26379"},
			false, `redis "logs" of the sentinels at a:26379,b:26379`,
		},
	} {
		settings := load(t, c.env)
		got, err := settings.target()
		if err != nil || !slices.Equal(got.addrs, c.addrs) || (got.tls != nil) != c.secure {
			t.Errorf("%v: %v, TLS %t (%v), want %v, %t", c.env, got.addrs, got.tls != nil, err, c.addrs, c.secure)
		}
		if name := settings.describeTarget(got.addrs); name != c.name {
			t.Errorf("%v: is called %s, want %s", c.env, name, c.name)
		}
	}
}

// TestTargetRefused: Open refuses settings that contradict each other, in one line with the
// variable, its value unless that is secret, and what is accepted.
func TestTargetRefused(t *testing.T) {
	certs, others := redistest.NewCertificates(t), redistest.NewCertificates(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		urls, mode, master = "LOGGER_REDIS_URLS", "LOGGER_REDIS_MODE", "LOGGER_REDIS_SENTINEL_MASTER"
		tls, ca            = "LOGGER_REDIS_TLS", "LOGGER_REDIS_TLS_CA_FILE"
		cert, key          = "LOGGER_REDIS_TLS_CERT_FILE", "LOGGER_REDIS_TLS_KEY_FILE"
	)
	for _, c := range []struct {
		env  map[string]string
		says []string
	}{
		{map[string]string{mode: "cluster", "DEIS_LOGGER_REDIS_DB": "3"}, []string{"DEIS_LOGGER_REDIS_DB=3", "want 0", mode + "=cluster"}},
		{map[string]string{mode: "sentinel", urls: "a:1"}, []string{master + " is not set", mode}},
		{map[string]string{mode: "sentinel", master: "logs"}, []string{urls + " is not set", mode}},
		{map[string]string{master: "logs"}, []string{master, "logs", mode + "=single"}},
		{map[string]string{mode: "cluster", master: "logs"}, []string{master, "logs", mode + "=cluster"}},
		{map[string]string{"LOGGER_REDIS_SENTINEL_PASSWORD": "hush"}, []string{"LOGGER_REDIS_SENTINEL_PASSWORD", mode + "=single"}},
		{map[string]string{"LOGGER_REDIS_USERNAME": "ann"}, []string{"LOGGER_REDIS_USERNAME", "ann", "DEIS_LOGGER_REDIS_PASSWORD"}},
		{map[string]string{urls: "a:1,b:2"}, []string{urls, "a:1,b:2", mode}},
		{map[string]string{urls: "a"}, []string{urls, `"a"`, "host:port"}},
		{map[string]string{urls: "a:0"}, []string{urls, "host:port"}},
		{map[string]string{urls: ":6379"}, []string{urls, "host:port"}},
		{map[string]string{urls: "a:1,,b:1", mode: "cluster"}, []string{urls, "host:port"}},
		{map[string]string{urls: "http://a:1"}, []string{urls, "host:port"}},
		{map[string]string{urls: "redis://a:1/3"}, []string{urls, "host:port"}},
		{map[string]string{urls: "redis://u:hush@a:1"}, []string{urls, "LOGGER_REDIS_USERNAME", "DEIS_LOGGER_REDIS_PASSWORD"}},
		{map[string]string{urls: "rediss://a:1,redis://b:1", mode: "cluster"}, []string{urls, "TLS", "none"}},
		{map[string]string{urls: "rediss://a:1,b:1", mode: "cluster"}, []string{urls, "TLS", "none"}},
		{map[string]string{urls: "redis://a:1", tls: "true"}, []string{urls, "TLS", "none"}},
		{map[string]string{ca: certs.CAFile}, []string{ca, tls}},
		{map[string]string{cert: certs.CertFile}, []string{cert, tls}},
		{map[string]string{key: certs.KeyFile}, []string{key, tls}},
		{map[string]string{"LOGGER_REDIS_TLS_SKIP_VERIFY": "true"}, []string{"LOGGER_REDIS_TLS_SKIP_VERIFY", tls}},
		{map[string]string{tls: "true", ca: "/no/such/file"}, []string{ca, "/no/such/file", "readable"}},
		{map[string]string{tls: "true", ca: empty}, []string{ca, empty, "PEM"}},
		{map[string]string{tls: "true", cert: certs.CertFile}, []string{cert, key, "both"}},
		{map[string]string{tls: "true", key: certs.KeyFile}, []string{cert, key, "both"}},
		{map[string]string{tls: "true", cert: certs.CertFile, key: others.KeyFile}, []string{cert, certs.CertFile, key}},
	} {
		opened, err := Open(t.Context(), load(t, c.env), sdk.Host{})
		if err == nil {
			t.Errorf("%v is taken", c.env)
			_ = opened.(*storage).Close()
			continue
		}
		if !errors.Is(err, sdk.ErrInvalid) || contains(err.Error(), "\n") || contains(err.Error(), "hush") {
			t.Errorf("%v: %v, want one line without secrets that wraps %v", c.env, err, sdk.ErrInvalid)
		}
		for _, part := range c.says {
			if !contains(err.Error(), part) {
				t.Errorf("%v: %q does not say %q", c.env, err, part)
			}
		}
	}
}

// FuzzAddrs: whatever the text, an accepted address can be dialled.
func FuzzAddrs(f *testing.F) {
	for _, text := range []string{"a:1", "redis://a:1,rediss://b:2/", "[::1]:6379, b:1", "a@b:1", ",", "://:1", "a:1?db=2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := Settings{URLs: text, Mode: cluster, Port: 6379}
		addrs, secure, err := s.addrs()
		if err != nil {
			if contains(err.Error(), "\n") {
				t.Errorf("%q: several lines: %q", text, err)
			}
			return
		}
		if text != "" && secure != strings.Contains(text, "rediss://") {
			t.Errorf("%q: secure is %t", text, secure)
		}
		for _, addr := range addrs {
			if !isAddr(addr) {
				t.Errorf("%q gives %q", text, addr)
			}
		}
	})
}
