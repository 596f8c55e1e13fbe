package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

func measured() *figures {
	f := &figures{}
	f.add("start", "memory: until ready", ms, 612)
	for _, v := range []float64{2.6, 2.2, 2.4} {
		f.add("drain", "memory ÷ go-nsq", ratio, v)
	}
	f.add("followers", "memory: 1 followers: p99", ms, math.NaN())
	f.add("drain", "memory", perSec, 123456.7)
	f.add("drain", "memory: host", cpu, 4.25)
	f.add("drain", "memory", micros, 8)
	f.note("something is not there")
	f.note("something is not there")
	return f
}

func TestTable(t *testing.T) {
	s := measured().summary(options{runs: 3, short: true}, "v1", time.Now())
	var out bytes.Buffer
	if err := s.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^memory ÷ go-nsq +2\.4 × \(2\.6 2\.2 2\.4\)$`,
		`(?m)^memory +123457 1/s; host 4\.25 CPU s/M; 8 µs$`,
		`(?s)DRAIN.*FOLLOWERS.*START.*ROW`, // the order of a run, not of arrival
		`(?m)^1 +drain, memory .* ≥ 2\.3 × +2\.4 +pass$`,
		`(?m)^14 +start .* memory +≤ 500 ms +612 +FAIL$`,
		`(?m)^12 +.*, 1 of one app, memory +≤ 30 ms +NaN +FAIL$`, // NaN passes no target
		`SHORT`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("the table has no %s:\n%s", want, out.String())
		}
	}
	if n := bytes.Count(out.Bytes(), []byte("something is not there")); n != 1 {
		t.Errorf("the note is there %d times", n)
	}
}

func TestJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "bench.json")
	s := measured().summary(options{runs: 3}, "v1", time.Now())
	if err := s.writeJSON(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Targets []struct {
			Row      int
			Measured *float64
			Pass     bool
		}
		Figures []struct {
			Measure, Name, Unit string
			Median              *float64
			Runs                []*float64
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if f := got.Figures[0]; f.Measure != "drain" || f.Unit != ratio || len(f.Runs) != 3 || *f.Runs[0] != 2.6 || *f.Median != 2.4 {
		t.Errorf("the first figure is %+v", f)
	}
	for _, row := range got.Targets {
		if row.Row == 12 && (row.Measured != nil || row.Pass) {
			t.Errorf("no number: %+v, want null that does not pass", row)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 0.00123: "0.00123", 0.5: "0.5", 1: "1", 1.25: "1.25", 12.345: "12.3", 99.96: "100", 1234567: "1234567", -2.5: "-2.5",
		0.0000001: "0",
	} {
		if got := number(value).String(); got != want {
			t.Errorf("%v is written %s, want %s", value, got, want)
		}
	}
}

// TestTargetsNameMeasures: a target whose measure does not exist would never be judged, and nobody
// would notice.
func TestTargetsNameMeasures(t *testing.T) {
	for _, target := range targets {
		found := false
		for _, m := range measures {
			found = found || m.name == target.figure.Measure
		}
		if !found {
			t.Errorf("row %d is of measure %q, which there is not", target.row, target.figure.Measure)
		}
	}
}
