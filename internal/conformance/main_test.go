package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReportHasEveryPlugin: the report runs the suites of all plugins that come with logger and of
// all examples. docs/plugins/conformance.md has these and no others.
func TestReportHasEveryPlugin(t *testing.T) {
	var there, listed []string
	for _, pattern := range []string{"cmd/logger-storage-*", "cmd/logger-aggregator-*", "examples/storage-*", "examples/aggregator-*"} {
		found, err := filepath.Glob("../../" + pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %q, %v", pattern, found, err)
		}
		for _, path := range found {
			there = append(there, strings.TrimPrefix(filepath.Base(path), "logger-"))
		}
	}
	for _, p := range plugins {
		listed = append(listed, p.String())
	}
	slices.Sort(there)
	slices.Sort(listed)
	if !slices.Equal(there, listed) {
		t.Errorf("there are %q, and the report has %q", there, listed)
	}
	text, err := os.ReadFile("../../docs/plugins/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	empty := strings.Split(document(results{}, "nothing"), "\n")
	for line := range strings.Lines(string(text)) { // the heads of the tables, which name the plugins
		if strings.HasPrefix(line, "| check |") && !slices.Contains(empty, strings.TrimSuffix(line, "\n")) {
			t.Errorf("docs/plugins/conformance.md has a table of other plugins: %s", line)
		}
	}
	for _, p := range plugins {
		if !strings.Contains(string(text), "\n| `"+p.String()+"` | "+p.language+" |") {
			t.Errorf("docs/plugins/conformance.md lacks %s: run make conformance-report", p)
		}
	}
	if strings.Contains(string(text), "failed") {
		t.Error("docs/plugins/conformance.md has checks that failed")
	}
}

// TestParseSuitesSideBySide: the checks of two suites that run side by side do not mix.
func TestParseSuitesSideBySide(t *testing.T) {
	const tests = `{"Action":"pass","Test":"TestConformance/Absent"}
{"Action":"pass","Test":"TestConformanceFaults/AwayErrors"}
{"Action":"pass","Test":"TestConformance/Retry"}
{"Action":"pass","Test":"TestConformanceFaults/AwayCheck"}
`
	o := results{}.of(plugins[0])
	if err := parseTests(strings.NewReader(tests), o); err != nil {
		t.Fatal(err)
	}
	if want := []string{"Absent", "Retry", "AwayErrors", "AwayCheck"}; !slices.Equal(*o.order, want) {
		t.Errorf("the order is %q, want %q", *o.order, want)
	}
}

func TestParse(t *testing.T) {
	const tests = `{"Action":"output","Test":"TestConformanceRemote/Follow","Output":"    x.go:1: nobody announces it\n"}
{"Action":"run","Test":"TestConformance/File/Absent"}
{"Action":"output","Test":"TestConformance/File/Follow","Output":"    x.go:1: left out: no Follow\n"}
{"Action":"pass","Test":"TestConformance/File/Absent","Elapsed":0}
{"Action":"skip","Test":"TestConformance/File/Follow","Elapsed":0}
{"Action":"fail","Test":"TestConformance/Heap/Absent","Elapsed":0}
{"Action":"pass","Test":"TestConformance/File","Elapsed":0}
{"Action":"pass","Test":"TestConformanceRemote/Absent","Elapsed":0}
{"Action":"skip","Test":"TestConformanceRemote/Follow","Elapsed":0}
{"Action":"pass","Test":"TestConformance"}
{"Action":"pass"}
FAIL	some/package
`
	const check = `{"check":"Absent","lines":null,"outcome":"pass","seconds":0.1}
{"check":"Follow","lines":["left out: no Follow"],"outcome":"opt-out","seconds":0}
{"check":"Describe","lines":["wrong"],"outcome":"fail","seconds":0}
`
	p := plugin{kind: "storage", name: "x"}
	all := results{}
	if err := parseTests(strings.NewReader(tests), all.of(p)); err != nil {
		t.Fatal(err)
	}
	if err := parseCheck(strings.NewReader(check), all.of(p)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Absent":   "R P; D **failed**",
		"Follow":   "D P left out: no Follow; R left out: nobody announces it",
		"Describe": "**failed**",
		"File":     "–",
	} {
		if got := cell(all.of(p).byCheck[name]); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got, want := all.of(p).sum(program), "1 passed, **1 failed**, 1 left out"; got != want || !all.failed() {
		t.Errorf("in sum %q, want %q; failed: %v", got, want, all.failed())
	}
	if err := parseTests(strings.NewReader(`{"Action":"pass","Test":"TestConformanceBackwards/Absent"}`), all.of(p)); err == nil {
		t.Error("a mode that nobody knows is taken")
	}
}

func TestMerge(t *testing.T) {
	got := merge([]string{"a", "c", "d"}, []string{"a", "b", "c", "e"})
	if want := []string{"a", "b", "c", "e", "d"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
