package logql

import (
	"slices"
	"testing"
	"time"
)

var (
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	stream = Labels{{"app", "foo"}, {"level", "info"}, {"process", "web"}}
)

func pipeline(t testing.TB, stages string) *Pipeline {
	t.Helper()
	e, err := Parse(`{app="foo"} ` + stages)
	if err != nil {
		t.Fatalf("%s: %v", stages, err)
	}
	p, err := NewPipeline(e.(*LogQuery))
	if err != nil {
		t.Fatalf("%s: %v", stages, err)
	}
	return p
}

// process returns the result for a line: the line, and the labels that its stream does not have,
// except those about errors.
func process(p *Pipeline, line string) string {
	line, labels, keep := p.Process(noon, line, stream)
	if !keep {
		return "dropped"
	}
	var others Labels
	for _, l := range labels {
		if !slices.Contains(stream, l) && l.Name != DetailsLabel {
			others = append(others, l)
		}
	}
	for _, l := range stream {
		if labels.Get(l.Name) == "" {
			others = append(others, Label{"no_" + l.Name, "1"})
		}
	}
	return line + " " + others.String()
}

func TestPipeline(t *testing.T) {
	for stages, lines := range map[string]map[string]string{
		``: {"a": "a {}"},
		// Line filters.
		`|= "a" or "b" != "c"`: {"xax": "xax {}", "b": "b {}", "x": "dropped", "ac": "dropped"},
		`!= "a" or "b"`:        {"x": "x {}", "a": "dropped", "b": "dropped"},
		`|~ "^a+$" or "b."`:    {"aa": "aa {}", "ab": "dropped", "xbx": "xbx {}"},
		`!~ "(?i)error"`:       {"ERROR": "dropped", "warn": "warn {}"},
		// JSON.
		`| json`: {
			`{"a":"b"}`: `{"a":"b"} {a="b"}`,
			`{"s":"a\"\u00e9","n":1.50,"t":true,"z":null,"l":[1],"e":"","o":{"p":{"q":-1e5}}} `: `{"s":"a\"\u00e9","n":1.50,"t":true,"z":null,"l":[1],"e":"","o":{"p":{"q":-1e5}}}  {e="", n="1.50", o_p_q="-1e5", s=` + "`a\"é`" + `, t="true"}`,
			`{"level":"error","x-y.z ä":"1","9":2,"":3}`:                                        `{"level":"error","x-y.z ä":"1","9":2,"":3} {_9="2", level_extracted="error", x_y_z__="1"}`,
			`{"a":1,"a":2,"o":{"a":3},"o_a":4}`:                                                 `{"a":1,"a":2,"o":{"a":3},"o_a":4} {a="1", o_a="3"}`,
			`{"a":{"b":1,"c":{"d":2},"e":3},"f":4}`:                                             `{"a":{"b":1,"c":{"d":2},"e":3},"f":4} {a_b="1", a_c_d="2", a_e="3", f="4"}`,
			`{"x":1`:                                                                            `{"x":1 {__error__="JSONParserErr"}`,
			`{"x":1} more`:                                                                      `{"x":1} more {__error__="JSONParserErr"}`,
			`[1]`:                                                                               `[1] {__error__="JSONParserErr"}`,
			`text`:                                                                              `text {__error__="JSONParserErr"}`,
			``:                                                                                  ` {__error__="JSONParserErr"}`,
			`{}`:                                                                                `{} {}`,
		},
		`| json status="r.status", first="l[1].x", agent="r[\"User Agent\"]", l, app`: {
			`{"r":{"status":200,"User Agent":"curl"},"l":[0,{"x":"y"}],"app":"other"}`: `{"r":{"status":200,"User Agent":"curl"},"l":[0,{"x":"y"}],"app":"other"} {agent="curl", app_extracted="other", first="y", l=` + "`[0,{\"x\":\"y\"}]`" + `, status="200"}`,
			`{"r":5,"l":[0],"status":1}`: `{"r":5,"l":[0],"status":1} {l="[0]"}`,
			`{"r":null}`:                 `{"r":null} {}`,
			`no`:                         `no {__error__="JSONParserErr"}`,
		},
		// logfmt.
		`| logfmt`: {
			`a=b c="d e" f="g\"h" i= j k="" level=warn x.y=1`: `a=b c="d e" f="g\"h" i= j k="" level=warn x.y=1 {a="b", c="d e", f=` + "`g\"h`" + `, level_extracted="warn", x_y="1"}`,
			`=a b=c"d e=f "g" h=" i=1`:                        `=a b=c"d e=f "g" h=" i=1 {e="f"}`,
			"a=b\tc=d\x01e=f  ":                               "a=b\tc=d\x01e=f   {a=\"b\", c=\"d\", e=\"f\"}",
			`a=1 a=2`:                                         `a=1 a=2 {a="1"}`,
			`p="C:\new"`:                                      `p="C:\new" {p="C:\new"}`,
			``:                                                ` {}`,
		},
		`| logfmt --strict`:                {`a=b c=d"e f=g`: `a=b c=d"e f=g {__error__="LogfmtParserErr", a="b"}`, `a=b c`: `a=b c {a="b"}`},
		`| logfmt --keep-empty`:            {`a= b c=""`: `a= b c="" {a="", b="", c=""}`},
		`| logfmt x="a.b", c`:              {`a.b=1 c=2 d=3`: `a.b=1 c=2 d=3 {c="2", x="1"}`},
		`| json | logfmt`:                  {`a=1`: `a=1 {__error__="JSONParserErr", a="1"}`},
		"| json | logfmt --strict":         {`a"`: `a" {__error__="JSONParserErr"}`},
		`| json | __error__=""`:            {`a`: `dropped`, `{"a":1}`: `{"a":1} {a="1"}`},
		`| json | drop __error__`:          {`a`: `a {}`},
		`| json | level_extracted="error"`: {`{"level":"error"}`: `{"level":"error"} {level_extracted="error"}`, `{"level":"x"}`: "dropped"},
		// Label filters.
		`| level="info"`:                  {"a": "a {}"},
		`| level!~"inf."`:                 {"a": "dropped"},
		`| nothing=""`:                    {"a": "a {}"},
		`| logfmt | n>=5`:                 {"n=5": `n=5 {n="5"}`, "n=4": "dropped", "m=9": "dropped", "n=x": `n=x {__error__="LabelFilterErr", n="x"}`},
		`| logfmt | n!=5`:                 {"n=5.0": "dropped", "n=4": `n=4 {n="4"}`, "m=1": "dropped"},
		`| logfmt | d>1m30s`:              {"d=91s": `d=91s {d="91s"}`, "d=1.5m": "dropped", "d=1d": `d=1d {d="1d"}`, "d=5": `d=5 {__error__="LabelFilterErr", d="5"}`},
		`| logfmt | s<=1KiB`:              {"s=1024": `s=1024 {s="1024"}`, `s="1 kb"`: `s="1 kb" {s="1 kb"}`, "s=1.1KiB": "dropped", "s=5h": `s=5h {__error__="LabelFilterErr", s="5h"}`},
		`| json | a>5 | b>5`:              {"text": `text {__error__="JSONParserErr"}`},
		`| logfmt | a=1 or b=2 and c=3`:   {"a=1 c=3": `a=1 c=3 {a="1", c="3"}`, "a=1 c=4": "dropped", "b=2 c=3": `b=2 c=3 {b="2", c="3"}`},
		`| logfmt | a=1 or (b=2 and c=3)`: {"a=1 c=4": `a=1 c=4 {a="1", c="4"}`, "b=2 c=4": "dropped"},
		// Formats.
		`| line_format "{{.level}} {{.app | upper}}{{.nothing}} {{__line__}}"`: {"a": "info FOO a {}"},
		`| line_format ""`: {"a": " {}"},
		"| line_format `{{ if eq .app \"foo\" }}{{ with .process }}{{ . }}{{ end }}{{ else }}no{{ end }}`":                    {"a": "web {}"},
		"| line_format `{{ $x := .app }}{{ $x }}-{{ date \"15:04\" __timestamp__ }} {{ __timestamp__ }}`":                     {"a": "foo-12:00 2026-03-01T12:00:00Z {}"},
		"| line_format `{{ replace \"o\" \"0\" .app }} {{ trunc 2 .app }} {{ trunc -2 .process }} {{ substr 1 2 \"äöü\" }}.`": {"a": "f00 fo eb ö. {}"},
		"| line_format `{{ alignLeft 5 .app }}|{{ alignRight 5 .app }}|{{ alignLeft 2 .app }}`":                               {"a": "foo  |  foo|fo {}"},
		"| line_format `{{ printf \"%5s|%q|%d\" .app .app 7 }} {{ print .app 1 }} {{ default \"x\" .nothing }}`":              {"a": `  foo|"foo"|7 foo1 x {}`},
		"| line_format `{{ trimPrefix \"f\" .app }} {{ trimSuffix \"o\" .app }} {{ trim \" a \" }} {{ lower \"A\" }}`":        {"a": "oo fo a a {}"},
		"| line_format `{{ contains \"o\" .app }} {{ hasPrefix \"x\" .app }} {{ hasSuffix \"oo\" .app }} {{ len .app }}`":     {"a": "true false true 3 {}"},
		"| line_format `{{ .app.inner }}`":                              {"a": `a {__error__="TemplateFormatErr"}`},
		`| label_format x=app, level="{{.level}}!"`:                     {"a": `a {level="info!", x="foo", no_app="1"}`},
		`| label_format x=nothing`:                                      {"a": "a {}"},
		`| json | label_format level=level_extracted`:                   {`{"level":"warn"}`: `{"level":"warn"} {level="warn"}`},
		`| label_format a="1", b="{{.a}}{{.a}}" | line_format "{{.b}}"`: {"x": `11 {a="1", b="11"}`},
		// Drop, keep and colours.
		`| drop level, process="db"`:        {"a": `a {no_level="1"}`},
		`| drop process=~"w.b", app!="foo"`: {"a": `a {no_process="1"}`},
		`| keep app, level="warn"`:          {"a": `a {no_level="1", no_process="1"}`},
		`| json | keep app`:                 {"a": `a {__error__="JSONParserErr", no_level="1", no_process="1"}`},
		`| decolorize |= "ab"`:              {"a\x1b[1;31mb\x1b[0m\x1b[": "ab {}", "a b": "dropped"},
	} {
		p := pipeline(t, stages)
		for range 2 { // a pipeline's memory of earlier lines must not show
			for line, want := range lines {
				if got := process(p, line); got != want {
					t.Errorf("%s: %q became\n\t%s, want\n\t%s", stages, line, got, want)
				}
			}
		}
	}
}

func TestSelects(t *testing.T) {
	for selector, want := range map[string]bool{
		`{app="foo"}`:          true,
		`{app="fo"}`:           false,
		`{app!="foo"}`:         false,
		`{app=~"fo+"}`:         true,
		`{app=~"o+"}`:          false,
		`{app=~"fo{1,1}.{0}"}`: false,
		`{app=~"[a-f]o+", level=~"inf.*?", process=~"w+"}`: false,
		`{app=~"fo*", level=~"i"}`:                         false,
		`{app=~"bar|foo", level!~"i.*"}`:                   false,
		`{app!~"o+", level!~"warn|error"}`:                 true,
		`{app=~"bar|fo"}`:                                  false,
		`{app=~"(?i)FOO"}`:                                 true,
		`{pod=""}`:                                         true,
		`{pod!=""}`:                                        false,
		`{pod=~"a|"}`:                                      true,
		`{pod=~".+"}`:                                      false,
		`{pod=~".*"}`:                                      true,
		`{pod!="a"}`:                                       true,
	} {
		e, err := Parse(selector)
		if err != nil {
			t.Fatalf("%s: %v", selector, err)
		}
		p, err := NewPipeline(e.(*LogQuery))
		if err != nil {
			t.Fatalf("%s: %v", selector, err)
		}
		if got := p.Selects(stream); got != want {
			t.Errorf("%s selects %s: %v, want %v", selector, stream, got, want)
		}
	}
}
