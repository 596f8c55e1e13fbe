package harness

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/redistest"
)

// Storages maps each bundled storage to a function that returns its variables. The function starts
// what the storage needs.
var Storages = map[string]func(t *testing.T) map[string]string{
	"memory": func(*testing.T) map[string]string { return MemoryEnv() },
	"redis": func(t *testing.T) map[string]string {
		t.Helper()
		return RedisEnv(redistest.Start(t).Addr)
	},
}

// MemoryEnv returns the variables that choose the memory storage.
func MemoryEnv() map[string]string { return map[string]string{"STORAGE_ADAPTER": "memory"} }

// RedisEnv returns the variables that choose the Redis at addr, a host:port.
func RedisEnv(addr string) map[string]string {
	host, port, _ := net.SplitHostPort(addr) // a wrong address shows at once
	return map[string]string{
		"STORAGE_ADAPTER":                "redis",
		"DEIS_LOGGER_REDIS_SERVICE_HOST": host,
		"DEIS_LOGGER_REDIS_SERVICE_PORT": port,
	}
}

// NSQEnv returns the variables that choose the nsqd at addr, a host:port.
func NSQEnv(addr string) map[string]string {
	host, port, _ := net.SplitHostPort(addr) // a wrong address shows at once
	return map[string]string{"DEIS_NSQD_SERVICE_HOST": host, "DEIS_NSQD_SERVICE_PORT_TRANSPORT": port}
}

// NewQueue starts an nsqd that keeps all messages of a test in memory: messages that are in part on
// disk come out of order. Each tune changes the nsqd's options.
func NewQueue(t *testing.T, tune ...func(*nsqd.Options)) *nsqtest.Server {
	t.Helper()
	inMemory := func(o *nsqd.Options) { o.MemQueueSize = 250_000 }
	return nsqtest.Start(t, append([]func(*nsqd.Options){inMemory}, tune...)...)
}

// NumberedLine returns the line that the logger makes of the message that [Numbered] returns.
func NumberedLine(number, app int) string {
	return fmt.Sprintf("2026-01-02T03:04:05+00:00 app-%d[web.v1.abcde]: number %d\n", app, number)
}

// Numbered returns a message of that app whose text is the number.
func Numbered(number, app int) []byte {
	return Message(fmt.Sprintf("app-%d", app), fmt.Sprintf("number %d\n", number))
}

// Message returns a message of the app with this text, as fluentd publishes it.
func Message(app, text string) []byte {
	quoted, _ := json.Marshal(text) // a string has a form in JSON
	return fmt.Appendf(nil, `{"log":%s,"stream":"stdout","time":"2026-01-02T03:04:05+00:00","kubernetes":{"namespace_name":"%[2]s",`+
		`"pod_name":"%[2]s-web-1234567890-abcde","container_name":"%[2]s-web","host":"node-1","labels":{"app":"%[2]s","type":"web","version":"v1"}}}`, quoted, app)
}
