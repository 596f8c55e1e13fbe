package faults

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/e2e/harness"
)

// TestMalformedMessages: 10,000 useless messages between good ones are counted and acknowledged,
// logged at a bounded rate, and delay nothing.
func TestMalformedMessages(t *testing.T) {
	const want = 10_000
	malformed := []string{
		"", "not JSON", "\x00\xff\xfe", "{", "[]", "null", `"text"`, "123", `{"log":`,
		`{"log":"no labels\n"}`,
		`{"stream":"stdout","kubernetes":{"labels":{"app":"app-0"}}}`,
		`{"log":null,"text":"x\n","kubernetes":{"labels":{"app":"app-0"}}}`,
		`{"log":{},"kubernetes":[]}`,
		`{"log":"x\n","kubernetes":{"labels":{"app":"../etc/passwd"}}}`,
		`{"log":"no form","kubernetes":{"container_name":"deis-controller"}}`,
		`{"log":"INFO [app-0]","kubernetes":{"container_name":"deis-controller"}}`,
		strings.Repeat("[", 100_000),
	}
	r := newRig(t, harness.MemoryEnv())
	r.start()
	made := 0
	strange := func(int) (out [][]byte) {
		for ; made < want && len(out) < 200; made++ {
			if body := malformed[made%len(malformed)]; body != "" { // nsqd accepts no empty message
				out = append(out, []byte(body))
			} else {
				out = append(out, []byte(" "))
			}
		}
		return out
	}
	r.publish(0, strange)
	r.asker = startAsker(t, r.logger.URL, apps, askEvery)
	began := time.Now()
	r.logger.Until("all malformed messages are rejected", func() bool { return r.logger.Metrics().Rejected() >= want })
	t.Logf("rejected within %s of the first", time.Since(began))
	r.flowing()
	a := r.finish()
	m := r.logger.Metrics()
	if m.Rejected() != want || m["logger_messages_stored_total"] != float64(a.lines) {
		t.Errorf("rejected %v and stored %v, want %d and %d", m.Rejected(), m["logger_messages_stored_total"], want, a.lines)
	}
	if stats := r.queue.Channel("logs", "consume"); stats.Requeued+stats.TimedOut > 0 {
		t.Errorf("something went back to nsqd: %+v", stats)
	}
	told := 0
	for _, line := range r.logger.Logs() {
		if strings.Contains(line, "record rejected") {
			told++
		}
	}
	if told == 0 || told > 100 {
		t.Errorf("%d lines in the host's log about 10,000 malformed messages", told)
	}
	r.alwaysReadable()
}

// TestLargeMessages: messages of 10 MB among good ones do no harm. Lines too long to keep whole are
// cut, a short line with 10 MB beside it is kept, and 10 MB of nonsense is rejected.
func TestLargeMessages(t *testing.T) {
	const large = 10_000_000
	for name, env := range storages {
		t.Run(name, func(t *testing.T) {
			r := newRigTuned(t, func(o *nsqd.Options) { o.MaxMsgSize = 1 << 24 }, env(t))
			r.start()
			bodies := [][]byte{
				harness.Message("large", strings.Repeat("x", large)),
				harness.Message("large", strings.Repeat("€\n", large/8)),
				bytes.Replace(harness.Message("large", "short\n"), []byte(`{"log"`), fmt.Appendf(nil, `{"more":%q,"log"`, strings.Repeat("y", large)), 1),
				bytes.Repeat([]byte("z"), large),
				bytes.Repeat([]byte("["), large),
			}
			made := 0
			r.publish(0, func(number int) [][]byte {
				if number%8 != 0 || made == 2*len(bodies) {
					return nil
				}
				made++
				return bodies[(made-1)%len(bodies) : (made-1)%len(bodies)+1]
			})
			r.asker = startAsker(t, r.logger.URL, apps, askEvery)
			var m harness.Metrics
			r.logger.Until("all large messages are through", func() bool {
				m = r.logger.Metrics()
				return m.Rejected() >= 4 && strings.Count(r.logger.Lines("large"), "large[web.v1.abcde]: ") >= 6
			})
			r.flowing()
			r.finish()
			r.alwaysReadable()
			if m.Rejected() != 4 {
				t.Errorf("%v were rejected, want 4", m.Rejected())
			}
			text := r.logger.Lines("large")
			if got := strings.Count(text, " more bytes]\n"); got != 4 || strings.Count(text, ": short\n") != 2 {
				t.Errorf("%d cut lines and %d short ones, want 4 and 2", got, strings.Count(text, ": short\n"))
			}
			if len(text) > 5*(64<<10) {
				t.Errorf("%d bytes are kept of 4 lines cut to 64 KiB", len(text))
			}
			peak := peakMemory(t, r.logger.Cmd.Process.Pid)
			t.Logf("peak memory: host %d MiB, storage plugin %d MiB, aggregator plugin %d MiB", peak>>20,
				peakMemory(t, r.logger.Plugin("storage").PID)>>20, peakMemory(t, r.logger.Plugin("aggregator").PID)>>20)
		})
	}
}
