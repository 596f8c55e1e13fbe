package nsq

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// TestWarnsOfEphemeralNames covers each setting with a name that makes nsqd keep messages only in
// memory.
func TestWarnsOfEphemeralNames(t *testing.T) {
	for name, c := range map[string]struct {
		topic, channel string
		want           []string // each is part of one warning
	}{
		"none":    {"logs", "consume", nil},
		"channel": {"logs", "tail#ephemeral", []string{`setting=NSQ_CHANNEL value="tail#ephemeral" instead=tail`}},
		"topic":   {"logs#ephemeral", "consume", []string{`setting=NSQ_TOPIC value="logs#ephemeral" instead=logs`}},
		"both": {"a#ephemeral", "b#ephemeral", []string{
			`setting=NSQ_TOPIC value="a#ephemeral" instead=a`, `setting=NSQ_CHANNEL value="b#ephemeral" instead=b`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			settings, err := sdk.LoadSettings[Settings](func(name string) (string, bool) {
				v, ok := map[string]string{"NSQ_TOPIC": c.topic, "NSQ_CHANNEL": c.channel}[name]
				return v, ok
			})
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			if _, err := Open(t.Context(), settings, sdk.Host{Logger: hclog.New(&hclog.LoggerOptions{Output: &said})}); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(said.String(), "[WARN]  lines can be lost: "); n != len(c.want) {
				t.Errorf("%d warnings, want %d: %s", n, len(c.want), &said)
			}
			for _, part := range c.want {
				if !strings.Contains(said.String(), part+"\n") {
					t.Errorf("no %q in: %s", part, &said)
				}
			}
		})
	}
}
