package charts

import (
	"strings"
	"testing"

	"github.com/deis/logger/internal/charttest"
)

// TestNotesSpeakOfWhatRuns checks what the notes say, and what they do not say, for some values.
func TestNotesSpeakOfWhatRuns(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values    string
		has, lack []string
	}{
		"defaults": {
			``,
			[]string{"1000 lines of each app (redis storage)", "without a new line for 720h is forgotten", "gone with the pod of its Redis", "(Redis, NSQ)"},
			[]string{"Lines can be lost", "extraEgress", "memory"},
		},
		"memory": {
			`{storage: memory, appRetention: 24h}`,
			[]string{"(memory storage)", "without a new line for 24h", "gone with its pod", "(NSQ)"},
			[]string{"Redis", "redis"},
		},
		"another storage": {
			`{storage: sqlite, extraPlugins: [{name: sqlite, image: mine}]}`,
			[]string{"(sqlite storage)", "(what the storage sqlite uses, NSQ)"},
			[]string{"Redis", "redis", "extraEgress", "gone with"},
		},
		"another storage behind a policy": {
			`{storage: sqlite, extraPlugins: [{name: sqlite, image: mine}], networkPolicy: {enabled: true}}`,
			[]string{"The network policy lets storage sqlite connect to nothing: networkPolicy.extraEgress names ports."},
			[]string{"Redis", "redis"},
		},
		"both others behind a policy": {
			`{storage: sqlite, aggregator: kafka, image: {repository: mine}, networkPolicy: {enabled: true}}`,
			[]string{"lets storage sqlite and aggregator kafka connect to nothing", "(what the storage sqlite uses, what the aggregator kafka uses)"},
			[]string{"Redis", "redis", "NSQ", "nsq"},
		},
		"another storage that is let out": {
			`{storage: sqlite, image: {repository: mine}, networkPolicy: {enabled: true, extraEgress: [{ports: [{port: 5432}]}]}}`,
			nil,
			[]string{"connect to nothing"},
		},
		"the bundled ones behind a policy": {`networkPolicy: {enabled: true}`, nil, []string{"connect to nothing"}},
		"apps for ever":                    {`appRetention: 0`, nil, []string{"forgotten"}},
		"an ephemeral channel": {
			`nsq: {channel: "tail#ephemeral"}`, []string{"Lines can be lost: nsq.channel is tail#ephemeral,"}, []string{"nsq.topic"},
		},
		"an ephemeral topic": {`nsq: {topic: "logs#ephemeral"}`, []string{"Lines can be lost: nsq.topic is logs#ephemeral,"}, []string{"nsq.channel"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notes := charttest.Notes(t, tc.values)
			for _, want := range tc.has {
				if !strings.Contains(notes, want) {
					t.Errorf("no %q in:\n%s", want, notes)
				}
			}
			for _, other := range tc.lack {
				if strings.Contains(notes, other) {
					t.Errorf("%q in:\n%s", other, notes)
				}
			}
		})
	}
}

// TestAppRetention: the retention is a duration of Go, or 0, and is passed to any storage.
func TestAppRetention(t *testing.T) {
	t.Parallel()
	secrets := charttest.Secrets{"logger-redis-creds": {"host": "", "port": "", "password": "", "db": ""}}
	for values, want := range map[string]string{
		``:                                     "720h",
		`appRetention: 1h30m`:                  "1h30m",
		`appRetention: 0`:                      "0",
		`appRetention: 30d`:                    "30d",
		`appRetention: 1w2d12h`:                "1w2d12h",
		`{storage: memory, appRetention: "0"}`: "0",
		`{storage: sqlite, image: {repository: mine}, appRetention: 0.5h}`: "0.5h",
	} {
		env := charttest.Render(t, values).Logger(t).Containers[0].Environment(t, secrets)
		if got := env["LOGGER_APP_RETENTION"]; got != want {
			t.Errorf("%q: LOGGER_APP_RETENTION is %q, want %q", values, got, want)
		}
	}
	for _, values := range []string{`appRetention: 1h30d`, `appRetention: 1d2w`, `appRetention: 720`, `appRetention: -1h`, `appRetention: ""`} {
		if got := charttest.Refusal(t, values); !strings.Contains(got, "schema") {
			t.Errorf("%s: %s", values, got)
		}
	}
}
