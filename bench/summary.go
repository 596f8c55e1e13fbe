package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// summary is what a run of the benchmark has to say, and what its JSON file holds.
type summary struct {
	Started time.Time `json:"started"`
	Seconds number    `json:"seconds"`
	Commit  string    `json:"commit,omitempty"`
	Go      string    `json:"go"`
	CPUs    int       `json:"cpus"`
	Runs    int       `json:"runs"`
	Short   bool      `json:"short"`
	Targets []verdict `json:"targets"`
	Figures []figure  `json:"figures"`
	Notes   []string  `json:"notes,omitempty"`
}

func (f *figures) summary(o options, started time.Time, took time.Duration) summary {
	all := f.all()
	return summary{
		Started: started.UTC().Truncate(time.Second), Seconds: number(took.Seconds()),
		Commit: commit(), Go: runtime.Version(), CPUs: runtime.NumCPU(), Runs: o.runs, Short: o.short,
		Targets: judge(targets, all), Figures: all, Notes: f.notes,
	}
}

// commit is what is measured, as far as git knows.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output() //nolint:noctx // a moment
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func (s summary) print(w io.Writer) error {
	size := "full"
	if s.Short {
		size = "SHORT: it shows that the benchmark works; the figures mean little"
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	p := printer{w: t}
	p.line("%s, %d CPUs, commit %s, medians of %d, %.0f s, %s\n", s.Go, s.CPUs, s.Commit, s.Runs, float64(s.Seconds), size)
	measure := ""
	for _, f := range s.Figures {
		if f.Measure != measure {
			measure = f.Measure
			p.line("\n%s\tmedian\t\truns", strings.ToUpper(measure))
		}
		runs := make([]string, len(f.Runs))
		for i, v := range f.Runs {
			runs[i] = v.String()
		}
		p.line("%s\t%s\t%s\t%s", f.Name, f.Median, f.Unit, strings.Join(runs, " "))
	}
	p.line("\nROW\tMEASURE\tTARGET\tMEASURED\t")
	for _, v := range s.Targets {
		said := "pass"
		if !v.Pass {
			said = "FAIL"
		}
		p.line("%d\t%s\t%s\t%s\t%s", v.Row, v.Measure, v.Target, v.Measured, said)
	}
	for _, note := range s.Notes {
		p.line("\nnote: %s", note)
	}
	return errors.Join(p.err, t.Flush())
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format+"\n", args...); err != nil && p.err == nil {
		p.err = err
	}
}

// String has three significant digits, and never an exponent.
func (n number) String() string {
	f := float64(n)
	if math.IsNaN(f) || math.IsInf(f, 0) || math.Abs(f) >= 100 || f == 0 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(f))))
	text := strconv.FormatFloat(f, 'f', min(digits, 6), 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// writeJSON writes the whole file or leaves the old one as it was.
func (s summary) writeJSON(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".bench-*.json")
	if err != nil {
		return err
	}
	_, err = temp.Write(append(text, '\n'))
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
