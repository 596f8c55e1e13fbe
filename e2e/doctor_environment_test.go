package e2e

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
)

// TestDoctorOfAnotherEnvironment: the doctor may run in another environment than the logger. If
// only the doctor's own variables are at fault, it does not blame the logger for them.
func TestDoctorOfAnotherEnvironment(t *testing.T) {
	const (
		nowhere  = "127.0.0.1:1" // no Redis and no nsqd listens here
		password = "a-password-of-redis"

		asTheLoggerSays = "nothing is broken according to the running logger, whose environment differs from this one: "
	)
	fill := func(t *testing.T, addr string) {
		t.Helper()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprintf(conn, "AUTH %s\r\nCONFIG SET maxmemory 1\r\n", password)
		answers := bufio.NewReader(conn)
		for range 2 {
			if line, err := answers.ReadString('\n'); line != "+OK\r\n" {
				t.Fatalf("%q, %v", line, err)
			}
		}
	}
	for _, tc := range []struct {
		name    string
		app     string
		publish bool
		other   func(own map[string]string) map[string]string
		harm    func(redis *redistest.Server)
		code    int
		verdict string // the beginning of the verdict
		shown   string // a part of the output, mostly of the environment's hop
		fails   []string
	}{
		{
			"nothing is set, and all is well", "app-1", true,
			func(own map[string]string) map[string]string {
				return map[string]string{"LOGGER_URL": own["LOGGER_URL"]}
			}, nil, 0,
			asTheLoggerSays, `DEIS_NSQD_SERVICE_PORT_TRANSPORT (not set here)`, nil,
		},
		{
			"nothing is set, and nothing is there", "app-1", false,
			func(own map[string]string) map[string]string {
				return map[string]string{"LOGGER_URL": own["LOGGER_URL"]}
			}, nil, 1,
			`environment: this environment is not the running logger's, so the cause cannot be seen from here: `,
			`DEIS_LOGGER_REDIS_SERVICE_PORT (not set here)`,
			[]string{"environment", "app"},
		},
		{
			"another Redis, which is down", "app-1", true,
			func(own map[string]string) map[string]string { return together(own, harness.RedisEnv(nowhere)) }, nil, 0,
			asTheLoggerSays + `"app-1": 1 lines`,
			`it is not the running logger's: DEIS_LOGGER_REDIS_SERVICE_PORT (here "1"). Run this with`, nil,
		},
		{
			"another storage", "app-1", true,
			func(own map[string]string) map[string]string { return together(own, harness.MemoryEnv()) }, nil, 0,
			asTheLoggerSays,
			`STORAGE_ADAPTER (the running logger has redis, and this environment says "memory")`, nil,
		},
		{
			"a bad value", "app-1", true,
			func(own map[string]string) map[string]string {
				return together(own, map[string]string{"NUMBER_OF_LINES": "many"})
			}, nil, 0,
			asTheLoggerSays, `it is not the running logger's: NUMBER_OF_LINES="many": want`, nil,
		},
		{
			"a wrong password", "app-1", true,
			func(own map[string]string) map[string]string {
				return together(own, map[string]string{"DEIS_LOGGER_REDIS_PASSWORD": "not-the-one"})
			}, nil, 0,
			`nothing is broken as far as can be seen (1 not ok, see above): "app-1": 1 lines`,
			`warning  storage            it does not serve from here: `, nil,
		},
		{
			"another nsqd, which is down", "app-1", true,
			func(own map[string]string) map[string]string { return together(own, harness.NSQEnv(nowhere)) }, nil, 0,
			asTheLoggerSays, `DEIS_NSQD_SERVICE_PORT_TRANSPORT (here "1")`, nil,
		},
		{
			"another topic", "app-1", true,
			func(own map[string]string) map[string]string {
				return together(own, map[string]string{"NSQ_TOPIC": "log"})
			}, nil, 0,
			asTheLoggerSays, `it is not the running logger's: NSQ_TOPIC (here "log").`, nil,
		},
		{
			"another Redis, and the logger's is down", "app-1", true,
			func(own map[string]string) map[string]string { return together(own, harness.RedisEnv(nowhere)) },
			func(redis *redistest.Server) { redis.Stop() }, 1,
			`logger: the logger's storage does not serve: `, `DEIS_LOGGER_REDIS_SERVICE_PORT (here "1")`,
			[]string{"logger"},
		},
		{
			"a wrong password, and the logger's Redis is full", "app-1", true,
			func(own map[string]string) map[string]string {
				return together(own, map[string]string{"DEIS_LOGGER_REDIS_PASSWORD": "not-the-one"})
			},
			func(redis *redistest.Server) { fill(t, redis.Addr) }, 1,
			`logger: the logger's storage does not serve: `, `warning  storage            it does not serve from here: `,
			[]string{"logger"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t, "--requirepass", password)
			queue, l, own := running(t, harness.RedisEnv(redis.Addr), map[string]string{"DEIS_LOGGER_REDIS_PASSWORD": password})
			if tc.publish {
				queue.Publish("logs", harness.Numbered(1, 1))
				l.Settled(1)
			}
			if tc.harm != nil {
				tc.harm(redis)
				l.Until("it is degraded", func() bool { return l.Plugin("storage").State == "degraded" })
			}
			code, output := patient{tc.other(own), tc.app}.examine(t)
			_, verdict, _ := strings.Cut(output, "verdict: ")
			if code != tc.code || !strings.HasPrefix(verdict, tc.verdict) || !strings.Contains(output, tc.shown) || !slices.Equal(failing(output), tc.fails) {
				t.Errorf("exit code %d, want %d and %q\n%s", code, tc.code, tc.verdict, output)
			}
			if strings.Contains(output, password) || strings.Contains(output, "not-the-one") {
				t.Errorf("a password is printed: %s", output)
			}
		})
	}
}

// TestDoctorOfAWeakSecret: a password of one letter is not masked in the output, since the gaps
// would spell it. The doctor warns of it and names only the variable.
func TestDoctorOfAWeakSecret(t *testing.T) {
	password := map[string]string{"DEIS_LOGGER_REDIS_PASSWORD": "s"}
	redis := redistest.Start(t, "--requirepass", "s")
	queue, l, own := running(t, harness.RedisEnv(redis.Addr), password)
	queue.Publish("logs", harness.Numbered(1, 1))
	l.Settled(1)
	code, output := patient{own, "app-1"}.examine(t)
	if code != 0 || strings.Contains(output, "*") || !strings.Contains(output, "DEIS_LOGGER_REDIS_PASSWORD is too short or too plain") {
		t.Errorf("exit code %d\n%s", code, output)
	}
}
