package render

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/client"
)

func entry(message string) *client.Record {
	return &client.Record{
		Kind: client.KindEntry, Cursor: "0123456789abcdef-7", Time: time.Date(2026, 1, 2, 15, 4, 5, 123456789, time.FixedZone("", 2*3600)),
		Source: "app", Process: "web", Release: "v3", Pod: "foo-web-845861952-nzf60", Stream: "stdout", Message: message,
	}
}

func printed(t *testing.T, o Options, r *client.Record) string {
	t.Helper()
	o.App = "foo"
	b, err := New(o).Append([]byte("before|"), r)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(string(b), "before|")
}

func TestFormats(t *testing.T) {
	controller := &client.Record{Source: "controller", Time: entry("").Time, Message: "INFO scaled"}
	short := entry("x")
	short.Pod = "foo-web"
	cut := entry("head")
	cut.CutBytes = 1234
	late := entry("a\nb")
	late.Late = true
	for name, tc := range map[string]struct {
		o    Options
		r    *client.Record
		want string
	}{
		"late":       {Options{Format: Default, Indent: true}, late, "foo[web.v3.nzf60]: (late) a\n                          b\n"},
		"late, raw":  {Options{Format: Raw}, late, "a\nb\n"},
		"default":    {Options{Format: Default}, entry("hello"), "foo[web.v3.nzf60]: hello\n"},
		"as /logs":   {Options{Format: Default, Timestamps: true}, entry("a\n b\n"), "2026-01-02T15:04:05+02:00 foo[web.v3.nzf60]: a\n b\n\n"},
		"controller": {Options{Format: Default}, controller, "deis[controller]: INFO scaled\n"},
		"renamed":    {Options{Format: Default}, &client.Record{Source: "controller", Controller: "drycc", Message: "up"}, "drycc[controller]: up\n"},
		"short pod":  {Options{Format: Default}, short, "foo[web.v3]: x\n"},
		"raw":        {Options{Format: Raw}, entry("a\nb"), "a\nb\n"},
		"raw, time":  {Options{Format: Raw, Timestamps: true}, entry("a"), "2026-01-02T15:04:05+02:00 a\n"},
		"indent":     {Options{Format: Default, Indent: true}, entry("a\nb"), "foo[web.v3.nzf60]: a\n                   b\n"},
		"cut":        {Options{Format: Default}, cut, "foo[web.v3.nzf60]: head [cut: 1234 more bytes]\n"},
		"cut, raw":   {Options{Format: Raw, KeepControls: true}, cut, "head [cut: 1234 more bytes]\n"},
		"clean":      {Options{Format: Raw}, entry("\x1b[31mred\x1b]0;x\x07"), "red\n"},
		"coloured":   {Options{Format: Raw, Colour: true}, entry("\x1b[31mred\nstill"), "\x1b[31mred\nstill\x1b[0m\n"},
		"kept":       {Options{Format: Raw, KeepControls: true, MaxWidth: 3}, entry("\x1b[2Jlong\r\n"), "\x1b[2Jlong\r\n\n"},
		"width":      {Options{Format: Raw, MaxWidth: 3}, entry("long line\nok"), "lon … [a line of 9 bytes; --max-width 0 shows all]\nok\n"},
		"highlight":  {Options{Format: Raw, Colour: true, Highlight: regexp.MustCompile("l+|x*")}, entry("hel\x1b[31mlo"), "he\x1b[1;31mll\x1b[0m\x1b[31mo\x1b[0m\n"},
		"unmarked":   {Options{Format: Raw, Colour: true, Highlight: regexp.MustCompile("zz")}, entry("\x1b[31mlo"), "\x1b[31mlo\x1b[0m\n"},
		"no colour":  {Options{Format: Raw, Highlight: regexp.MustCompile("l+")}, entry("hello"), "hello\n"},
	} {
		if got := printed(t, tc.o, tc.r); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// TestLevelsAreShown: the name before a line has the colour of its level, and the rest of the
// prefix that of the pod. For the usual level, and for none, the name has the pod's colour.
func TestLevelsAreShown(t *testing.T) {
	const pod = "\x1b[1;35m"
	for level, want := range map[client.Level]string{
		"":                pod + "foo[web.v3.nzf60]:",
		client.LevelTrace: "\x1b[2mfoo\x1b[0m" + pod + "[web.v3.nzf60]:",
		client.LevelDebug: "\x1b[2mfoo\x1b[0m" + pod + "[web.v3.nzf60]:",
		client.LevelInfo:  pod + "foo[web.v3.nzf60]:",
		client.LevelWarn:  "\x1b[33mfoo\x1b[0m" + pod + "[web.v3.nzf60]:",
		client.LevelError: "\x1b[1;31mfoo\x1b[0m" + pod + "[web.v3.nzf60]:",
		client.LevelFatal: "\x1b[1;7;31mfoo\x1b[0m" + pod + "[web.v3.nzf60]:",
		"grave":           pod + "foo[web.v3.nzf60]:", // of a newer server
	} {
		r := entry("x\ny")
		r.Level = level
		if got := printed(t, Options{Format: Default, Colour: true, Indent: true}, r); got != want+"\x1b[0m x\n                   y\n" {
			t.Errorf("%s: %q, want %q", level, got, want)
		}
		if got := printed(t, Options{Format: Default}, r); got != "foo[web.v3.nzf60]: x\ny\n" {
			t.Errorf("%s without colours: %q", level, got)
		}
		if got := printed(t, Options{Format: Raw, Colour: true}, r); got != "x\ny\n" {
			t.Errorf("%s, raw: %q", level, got)
		}
	}
	controller := &client.Record{Source: "controller", Level: client.LevelError, Message: "ERROR down"}
	if got := printed(t, Options{Format: Default, Colour: true}, controller); got != "\x1b[1;31mdeis\x1b[0m\x1b[1m[controller]:\x1b[0m ERROR down\n" {
		t.Errorf("%q", got)
	}
	tmpl, err := ParseTemplate(`{{color .Level .App}} {{.Level}}`, true)
	if err != nil {
		t.Fatal(err)
	}
	for level, want := range map[client.Level]string{client.LevelWarn: "\x1b[33mfoo\x1b[0m warn\n", "": "foo \n", client.LevelInfo: "foo info\n", "grave": "foo \n"} {
		r := entry("x")
		r.Level = level
		if got := printed(t, Options{Format: Template, Template: tmpl, Colour: true}, r); got != want {
			t.Errorf("template, %s: %q, want %q", level, got, want)
		}
	}
}

func TestNamesAreCleaned(t *testing.T) {
	r := entry("x")
	r.Process, r.Release, r.Pod = "we\nb\x1b[31m", "v\r1", "a-b-c-\u202ed"
	if got := printed(t, Options{Format: Default}, r); got != "foo[we b.v 1.d]: x\n" {
		t.Errorf("%q", got)
	}
}

func TestJSONKeepsItsValue(t *testing.T) {
	const line = "{\"type\":\"entry\",\t\"message\":\"a\u009b2J\u202e\u007f\u2028 ü 日 \\u001b[31m\"}"
	r := entry("")
	r.Raw = []byte(line)
	got := printed(t, Options{Format: JSON}, r)
	for _, c := range strings.TrimSuffix(got, "\n") {
		if obeyed(c) {
			t.Errorf("%q is left in %q", c, got)
		}
	}
	var before, after struct{ Message string }
	if err := json.Unmarshal([]byte(line), &before); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(got), &after); err != nil || before != after || !strings.Contains(got, "ü 日") {
		t.Errorf("%q, %v", got, err)
	}
	if got := printed(t, Options{Format: JSON, KeepControls: true}, r); got != line+"\n" {
		t.Errorf("kept: %q", got)
	}
}

func TestTemplate(t *testing.T) {
	for text, want := range map[string]string{
		`{{.Time.Format "15:04"}} {{.Pod}} {{.Suffix}}: {{.Message}}`: "15:04 foo-web-845861952-nzf60 nzf60: a <\"b\">\n",
		`{{.Message}}{{"\n"}}`:               "a <\"b\">\n",
		`{{json .Message}}`:                  `"a <\"b\">"` + "\n",
		`{{color "red" .App}} {{.CutBytes}}`: "foo 0\n",
		`{{if .Published.IsZero}}-{{end}}`:   "-\n",
		`{{slice .Message 0 1}}{{.Cursor}}`:  "a0123456789abcdef-7\n",
	} {
		tmpl, err := ParseTemplate(text, false)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := printed(t, Options{Format: Template, Template: tmpl}, entry("a <\"b\">\x1b[31m\x07")); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"{{", "{{.Massage}}", `{{color "pink" .App}}`, "{{nosuch}}"} {
		if _, err := ParseTemplate(text, true); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	tmpl, err := ParseTemplate(`{{color "red" .App}}{{.Message}}`, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := printed(t, Options{Format: Template, Template: tmpl, Colour: true}, entry("\x1b[32mx")); got != "\x1b[31mfoo\x1b[0m\x1b[32mx\x1b[0m\n" {
		t.Errorf("coloured: %q", got)
	}
	if _, err := New(Options{Template: tmpl, Format: Template}).Append(nil, entry("x")); err != nil {
		t.Error(err)
	}
}

func TestPodsHaveTheirColour(t *testing.T) {
	seen := map[string]int{}
	for i := range 1000 {
		r := entry("x")
		r.Pod = fmt.Sprintf("foo-web-845861952-%05d", i)
		colour := colourOf(r)
		if colourOf(r) != colour {
			t.Fatal("the colour changes")
		}
		seen[colour]++
	}
	if len(seen) != len(podColours) {
		t.Errorf("%d of %d colours are used", len(seen), len(podColours))
	}
	for colour, n := range seen {
		if n > 3*1000/len(podColours) {
			t.Errorf("%q has %d of 1000", colour, n)
		}
	}
	// The colour is the same in every version, because scripts and eyes get used to it.
	if got := printed(t, Options{Format: Default, Colour: true}, entry("x")); got != "\x1b[1;35mfoo[web.v3.nzf60]:\x1b[0m x\n" {
		t.Errorf("%q", got)
	}
}

func BenchmarkAppend(b *testing.B) {
	p, r := New(Options{App: "foo", Format: Default, Timestamps: true}), entry(strings.Repeat("a line of 200 bytes ", 10))
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = p.Append(buf[:0], r)
	}
}
