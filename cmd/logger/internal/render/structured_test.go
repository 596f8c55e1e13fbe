package render

import (
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/client"
)

func TestStructured(t *testing.T) {
	const where = "foo[web.v3.nzf60]: "
	const head = "time=2026-01-02T15:04:05+02:00 app=foo process=web release=v3 pod=foo-web-845861952-nzf60 "
	for name, tc := range map[string]struct {
		level                   client.Level
		message, pretty, logfmt string
	}{
		"JSON": {
			"error", `{"level":"error","time":"2024-01-01T10:00:00Z","msg":"no space","disk":"/dev/sda1","free":0,"big":12345678901234567890,"ok":false,"err":null,"tags":["a", "b"]}`,
			`ERROR no space disk=/dev/sda1 free=0 big=12345678901234567890 ok=false err=null tags="[\"a\", \"b\"]"`,
			`level=error msg="no space" disk=/dev/sda1 free=0 big=12345678901234567890 ok=false err=null tags="[\"a\", \"b\"]"`,
		},
		"members of members": {
			"", ` {"message":"hi","http":{"status":500,"path":"/a b"},"empty":{}} `,
			`hi http.status=500 http.path="/a b" empty={}`, `msg=hi http.status=500 http.path="/a b" empty={}`,
		},
		"logfmt": {
			"warn", `level=warn msg="slow query" took=1.5s sql="select \"a\""`,
			`WARN slow query took=1.5s sql="select \"a\""`, `level=warn msg="slow query" took=1.5s sql="select \"a\""`,
		},
		"several lines": {
			"fatal", `{"msg":"boom","stack":"Error: boom\n    at f (a.js:1:1)\n"}`,
			"FATAL boom\n  stack=\n    Error: boom\n        at f (a.js:1:1)", `level=fatal msg=boom stack="Error: boom\n    at f (a.js:1:1)\n"`,
		},
		"a level of its own":  {"", `{"level":3,"msg":"x"}`, `x level=3`, `msg=x level=3`},
		"no text":             {"info", `{"level":"info","n":1}`, `INFO n=1`, `level=info msg="" n=1`},
		"plain":               {"info", "INFO it is up", "INFO it is up", `level=info msg="INFO it is up"`},
		"not all pairs":       {"", "took a=1 b=2", "took a=1 b=2", `msg="took a=1 b=2"`},
		"no pairs":            {"", `a="x`, `a="x`, `msg="a=\"x"`},
		"behind a quote":      {"", `a="x"y`, `a="x"y`, `msg="a=\"x\"y"`},
		"JSON and more":       {"", `{"a":1} {"b":2}`, `{"a":1} {"b":2}`, `msg="{\"a\":1} {\"b\":2}"`},
		"malformed":           {"", `{"a":`, `{"a":`, `msg="{\"a\":"`},
		"empty":               {"", ``, ``, `msg=""`},
		"an object of nought": {"", `{}`, `{}`, `msg={}`},
		"hostile":             {"", `{"msg":"x\u001b[2J","a\u001b]0;t\u0007":"\u202e\u009b"}`, `x "a\x1b]0;t\a"="\u202e\u009b"`, `msg="x\x1b[2J" "a\x1b]0;t\a"="\u202e\u009b"`},
	} {
		r := entry(tc.message)
		r.Level = tc.level
		if got := printed(t, Options{Format: Pretty}, r); got != where+tc.pretty+"\n" {
			t.Errorf("%s, pretty:\n got %q\nwant %q", name, got, where+tc.pretty)
		}
		if got := printed(t, Options{Format: Logfmt}, r); got != head+tc.logfmt+"\n" {
			t.Errorf("%s, logfmt:\n got %q\nwant %q", name, got, head+tc.logfmt)
		}
	}
	ofSeveral := entry("hi")
	ofSeveral.App = "bar"
	if b, err := New(Options{Format: Logfmt}).Append(nil, ofSeveral); err != nil || !strings.Contains(string(b), " app=bar process=web ") {
		t.Errorf("of several apps: %q, %v", b, err)
	}
	r := entry(`{"msg":"hi","a":1}`)
	r.Level = client.LevelError
	if got, want := printed(t, Options{Format: Pretty, Colour: true}, r), "\x1b[1;31mERROR\x1b[0m hi \x1b[2ma=\x1b[0m1"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, deep := range []string{strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), `{"a":0` + strings.Repeat(`,"b":1`, 300) + `}`} {
		if got := printed(t, Options{Format: Pretty}, entry(deep)); len(got) < len(deep) {
			t.Errorf("%d bytes of %d", len(got), len(deep))
		}
	}
}

func TestLocation(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := ParseTemplate(`{{.Time.Format "15:04 MST"}}`, false)
	if err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"2026-01-02T13:04:05+00:00 x\n":                    {Format: Raw, Timestamps: true, Location: time.UTC},
		"2026-01-02T14:04:05+01:00 foo[web.v3.nzf60]: x\n": {Format: Default, Timestamps: true, Location: berlin},
		"14:04 CET\n": {Format: Template, Template: tmpl, Location: berlin},
		"time=2026-01-02T13:04:05+00:00 app=foo process=web release=v3 pod=foo-web-845861952-nzf60 msg=x\n": {Format: Logfmt, Location: time.UTC},
	} {
		if got := printed(t, o, entry("x")); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// FuzzStructured: any message becomes one line of logfmt that controls no terminal, and that reads
// back as what is shown.
func FuzzStructured(f *testing.F) {
	for _, text := range []string{`{"a":{"b":"\n"}}`, `a=1 b="x\ty"`, "\x1b[31mred", `{"a":[1,{"b":2}],"msg":"\ud800"}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := entry(text)
		line := printed(t, Options{Format: Logfmt}, r)
		if strings.Count(line, "\n") != 1 || Clean(strings.TrimSuffix(line, "\n"), false) != strings.TrimSuffix(line, "\n") {
			t.Errorf("%q: %q", text, line)
		}
		if n := len(pairsOf(strings.TrimSuffix(line, "\n"))); n < 6 && len(fieldsOf(text)) < mostFields-10 {
			t.Errorf("%q: %d pairs in %q", text, n, line)
		}
		printed(t, Options{Format: Pretty}, r)
	})
}

// TestChosenFields: the chosen fields replace the message.
func TestChosenFields(t *testing.T) {
	r := entry(`{"msg":"served","status":200,"user":{"id":7,"name":"a b"}}`)
	r.Fields = []byte(`{"status":200,"user":{"id":7,"name":"a b"}}`)
	for format, want := range map[Format]string{
		Default: `status=200 user.id=7 user.name="a b"`, Raw: `status=200 user.id=7 user.name="a b"`,
		Pretty: `status=200 user.id=7 user.name="a b"`, Logfmt: `msg="" status=200 user.id=7 user.name="a b"`,
	} {
		if got := printed(t, Options{Format: format}, r); !strings.HasSuffix(got, want+"\n") || strings.Contains(got, "served") {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}
