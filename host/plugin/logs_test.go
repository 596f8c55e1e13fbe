package plugin

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// recorder records log lines.
type recorder struct{ testrun.Output }

func (r *recorder) lines() []string {
	return strings.Split(strings.TrimSuffix(r.String(), "\n"), "\n")
}

func record() (*recorder, hclog.Logger) {
	r := &recorder{}
	return r, hclog.New(&hclog.LoggerOptions{Name: "storage-toy", Level: hclog.Debug, Output: r, DisableTime: true})
}

// superviseLogged supervises a test plugin of that mode, whose log lines are recorded.
func superviseLogged(t *testing.T, mode string) (*Supervisor, *recorder) {
	t.Helper()
	logs, logger := record()
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", mode), nil)
	opts.Logger = logger
	s, _ := supervise(t, opts)
	return s, logs
}

// hostileLines returns lines that made go-plugin's own parser panic, and more.
func hostileLines() []string {
	return []string{
		`{"@message":1,"@level":"info"}`,
		`{"@message":"m","@level":7}`,
		`{"@message":"m","@level":"info","@timestamp":42}`,
		`{"@message":null,"@level":null}`,
		`{"@message":{"a":1},"@level":["info"]}`,
		`{"@message":"deep","@level":"info","k":{"a":[1,{"b":null}]}}`,
		`{"@message":"m","@level":"no such level"}`,
		`{"@message":"esc \u001b[2J","@level":"warn","key\n":"value\r\u001b]0;x\u0007"}`,
		`{`, `[]`, `null`, `"`, "\x00\x01\xff\xfe", "\x1b[31mred\x1b[0m", strings.Repeat("y", 1<<20),
	}
}

func TestHostileLogsAreHarmless(t *testing.T) {
	s, logs := superviseLogged(t, "hostile-logs")
	wait(t, s)
	if err := NewStorage(s).Append(t.Context(), toyBatch("print")); err != nil {
		t.Fatal(err)
	}
	testwait.Within(t, 20*time.Second, "the last line", func() bool {
		all := logs.String()
		return strings.Contains(all, "printed to stderr") && strings.Contains(all, "printed to stdout")
	})
	for _, line := range logs.lines() {
		if strings.ContainsFunc(line, unprintable) {
			t.Errorf("unprintable: %.200q", line)
		}
		if len(line) > maxLogLine+200 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func TestNoiseOnStdoutDoesNotFailTheStart(t *testing.T) {
	s, logs := superviseLogged(t, "noise")
	wait(t, s)
	testwait.Within(t, 20*time.Second, "the noise is logged", func() bool { return strings.Contains(logs.String(), "some library greets you") })
}

func TestRelay(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"text", "hello\n", "[INFO]  storage-toy: hello"},
		{"no newline at the end", "hello", "[INFO]  storage-toy: hello"},
		{"level and fields", `{"@level":"warn","@message":"m","@timestamp":"t","b":2,"a":"x y"}` + "\n", `[WARN]  storage-toy: m: a="x y" b=2`},
		{"empty lines", "\n\r\n", ""},
		{"crlf", "a\r\n", "[INFO]  storage-toy: a"},
		{"control", "a\x1b[2Jb\n", `[INFO]  storage-toy: a\u001b[2Jb`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			logs, logger := record()
			newLogRelay(logger).relay(strings.NewReader(tc.in))
			if got := strings.Join(logs.lines(), "\n"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRelayCutsAndLimits(t *testing.T) {
	logs, logger := record()
	relay := newLogRelay(logger)
	const flood = 20_000
	relay.relay(strings.NewReader(strings.Repeat("z", 5*maxLogLine) + "\n" + strings.Repeat("flood\n", flood)))
	relay.flush()
	lines := logs.lines()
	if len(lines[0]) > maxLogLine+100 || !strings.Contains(lines[0], "cut_bytes=") {
		t.Errorf("the long line: %d bytes, %q", len(lines[0]), lines[0][len(lines[0])-40:])
	}
	if len(lines) > flood/2 || !strings.Contains(lines[len(lines)-1], "left out") {
		t.Errorf("%d lines of a flood of %d; the last: %q", len(lines), flood, lines[len(lines)-1])
	}
}

// flooding yields a plugin's output for a second: the same line again and again, as many bytes as
// are read.
type flooding struct {
	line  string
	until time.Time
	read  int
	last  string
}

// mostOfAFlood bounds what is read of it in a second.
const mostOfAFlood = 16 << 20

func (f *flooding) Read(b []byte) (n int, err error) {
	if f.read > 2*mostOfAFlood || time.Now().After(f.until) {
		n = copy(b, f.last)
		if f.last = f.last[n:]; n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	for n < len(b) {
		m := copy(b[n:], f.line[f.read%len(f.line):])
		n, f.read = n+m, f.read+m
	}
	return n, nil
}

// TestLittleIsReadOfAFlood, whatever its lines are and whichever pipe they come through.
func TestLittleIsReadOfAFlood(t *testing.T) {
	for name, line := range map[string]string{
		"short lines": "flood\n", "JSON": `{"@level":"info","@message":"` + strings.Repeat("x", 100) + "\"}\n", "one line": strings.Repeat("x", 100),
	} {
		for way, relay := range map[string]func(l *logRelay, pipe io.Reader){
			"relay": func(l *logRelay, pipe io.Reader) { l.relay(pipe) },
			"before the handshake": func(l *logRelay, pipe io.Reader) {
				l.relayUntil(bufio.NewReaderSize(pipe, relayBuffer), func([]byte) bool { return false })
			},
			"by way of go-plugin": func(l *logRelay, pipe io.Reader) {
				_, _ = io.CopyBuffer(&lineWriter{logs: l}, pipe, make([]byte, 1<<10))
			},
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &flooding{line: strings.Repeat(line, 1000), until: time.Now().Add(time.Second), last: "\nlog\npanic: a bug\n\ngoroutine 1 [running]:\nmain.main()\n"}
					l := newLogRelay(hclog.NewNullLogger())
					relay(l, f)
					if f.read > mostOfAFlood {
						t.Errorf("%d MB of it were read in a second", f.read>>20)
					}
					if got := l.last(); got != "panic: a bug" {
						t.Errorf("its last words: %.80q", got)
					}
				})
			})
		}
	}
}

// TestFloodOnStderr: the plugin still answers, and the log says that it prints too much.
func TestFloodOnStderr(t *testing.T) {
	s, logs := superviseLogged(t, "floods")
	inst := wait(t, s)
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	began := time.Now()
	testwait.Within(t, 20*time.Second, "it is told twice", func() bool {
		ask(t, s, "group")
		return strings.Count(logs.String(), "the plugin logs too much") > 1
	})
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	used := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	t.Logf("the host and this test used %s of a core in %s", used, time.Since(began))
	if isGone(inst) || s.Status().State != Ready {
		t.Errorf("it is %+v", s.Status())
	}
}

func FuzzParseLog(f *testing.F) {
	for _, line := range hostileLines() {
		f.Add(line[:min(len(line), 200)])
	}
	f.Fuzz(func(t *testing.T, line string) {
		_, message, fields := parseLog(line)
		if strings.ContainsFunc(message, unprintable) {
			t.Errorf("unprintable: %q", message)
		}
		if len(fields)%2 != 0 || len(fields) > 2*maxLogFields {
			t.Errorf("%d fields", len(fields))
		}
		if _, err := json.Marshal(fields); err != nil {
			t.Errorf("fields: %v", err)
		}
	})
}
