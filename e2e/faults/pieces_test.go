package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
)

// TestPiecesOfALongLine: lines of 300 KB that come in containerd's pieces, between the lines of
// three other pods, come back whole and once. Two hosts share the pieces, and one of them is
// killed.
func TestPiecesOfALongLine(t *testing.T) {
	const lines, size, piece = 10, 300_000, 16 << 10
	queue := harness.NewQueue(t)
	queue.CreateChannel("logs", "consume")
	env := []map[string]string{harness.NSQEnv(queue.TCPAddr()), harness.RedisEnv(redistest.Start(t).Addr), {
		"LOGGER_MAX_LINE_BYTES": "512KiB", "NSQ_MSG_TIMEOUT_SECONDS": "2", "NSQ_MAX_IN_FLIGHT": "20",
	}}
	a, b := harness.Start(t, env...), harness.Start(t, env...)
	publish := func(pod int, text, tag string) {
		queue.Publish("logs", fmt.Appendf(nil,
			`{"message":%q,"logtag":%q,"stream":"stdout","kubernetes":{"pod_name":"foo-web-1-pod%d","container_name":"foo-web","labels":{"app":"foo"}}}`, text, tag, pod))
	}
	var want []string
	for n := range lines {
		text := strings.Repeat(fmt.Sprintf("%08d", n), size/8)
		want = append(want, text)
		for i := 0; text != ""; i++ {
			end := min(piece, len(text))
			tag := "P"
			if end == len(text) {
				tag = "F"
			}
			publish(0, text[:end], tag)
			text = text[end:]
			for pod := 1; pod <= 3; pod++ {
				short := fmt.Sprintf("line %d of pod %d beside piece %d", n, pod, i)
				publish(pod, short, "F")
				want = append(want, short)
			}
		}
		if n == lines/2 {
			received := func(l *harness.Logger) float64 { return l.Metrics()["logger_messages_received_total"] }
			b.Until("both hosts take messages", func() bool { return received(a) > 0 && received(b) > 0 })
			a.Kill()
		}
	}
	b.Until("nsqd has nothing left", func() bool { return queue.Drained("logs", "consume") })
	var got []string
	b.Until("all lines are here", func() bool {
		got = nil
		for line := range strings.Lines(b.Lines("foo")) {
			_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "]: ")
			got = append(got, text)
		}
		return len(got) >= len(want)
	})
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("%d lines, want %d; line %d has %d bytes, %.60q, want %d bytes, %.60q", len(got), len(want), i, len(got[i]), got[i], len(want[i]), want[i])
			}
		}
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
}
