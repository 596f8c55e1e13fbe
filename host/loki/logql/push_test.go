package logql

import (
	"reflect"
	"testing"
)

func TestPushdown(t *testing.T) {
	for query, want := range map[string]Pushdown{
		`{app="foo", process!="web", pod=~"a-.*", host=~".+"}`: {Values: map[string][]string{"app": {"foo"}}},
		`{app=~"b|a|b", stream=~"std(out|err)", process=~"^we?b$", level=~"(?i)error", pod=~"[x-z]1"}`: {
			Values: map[string][]string{
				"app": {"a", "b"}, "stream": {"stderr", "stdout"}, "process": {"wb", "web"}, "pod": {"x1", "y1", "z1"},
			},
		},
		`{app=~"a|b|c", app=~"[b-z]", app!="x"}`: {Values: map[string][]string{"app": {"b", "c"}}},
		`{app="a", app="b"}`:                     {Values: map[string][]string{"app": {}}},
		`{app=~"a|"}`:                            {Values: map[string][]string{"app": {"", "a"}}},
		`{app="foo"} |= "a.b" or "c" |~ "d.e|f" != "g*" or "h" !~ "i+" |= "" |= "j" or ""`: {
			Values:  map[string][]string{"app": {"foo"}},
			Include: [][]string{{`a\.b`, "c"}, {"d.e|f"}},
			Exclude: []string{`g\*`, "h", "i+"},
		},
		`{app="foo"} | json |= "a" | line_format "x" |= "b"`:  {Values: map[string][]string{"app": {"foo"}}, Include: [][]string{{"a"}}},
		`{app="foo"} | decolorize |= "a" != "b"`:              {Values: map[string][]string{"app": {"foo"}}},
		`{app="foo"} | level="error" and (pod="a", took>5s)`:  {Values: map[string][]string{"app": {"foo"}, "level": {"error"}, "pod": {"a"}}},
		`{app="foo"} | level="error" or pod="a"`:              {Values: map[string][]string{"app": {"foo"}}},
		`{app="foo"} | logfmt | level="error"`:                {Values: map[string][]string{"app": {"foo"}}},
		`{app="foo"} | label_format a=level | level="error"`:  {Values: map[string][]string{"app": {"foo"}}},
		`{app="foo"} | drop level | level=""`:                 {Values: map[string][]string{"app": {"foo"}}},
		`{app="foo"} | __error__=""`:                          {Values: map[string][]string{"app": {"foo"}}},
		`{app="foo"} | line_format "x" | level=~"error|warn"`: {Values: map[string][]string{"app": {"foo"}, "level": {"error", "warn"}}},
	} {
		e, err := Parse(query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if got := e.(*LogQuery).Pushdown(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", query, got, want)
		}
	}
}
