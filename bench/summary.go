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

// summary holds the result of a run of the benchmark, and is what its JSON file holds.
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

func (f *figures) summary(o options, commit string, started time.Time) summary {
	all := f.all()
	return summary{
		Started: started.UTC().Truncate(time.Second), Seconds: number(time.Since(started).Seconds()),
		Commit: commit, Go: runtime.Version(), CPUs: runtime.NumCPU(), Runs: o.runs, Short: o.short,
		Targets: judge(targets, all), Figures: all, Notes: f.notes,
	}
}

// commit returns the commit that is measured, as far as git knows.
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
	for _, row := range rowsOf(s.Figures) {
		if f := row[0]; f.Measure != measure {
			measure = f.Measure
			p.line("\n%s\t", strings.ToUpper(measure))
		}
		p.line("%s\t%s", row[0].Name, describe(row))
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

// rowsOf groups the figures of one thing: those with the same name as the first, or with that name,
// a colon and more.
func rowsOf(figures []figure) (rows [][]figure) {
	for i, f := range figures {
		if i > 0 {
			last := &rows[len(rows)-1]
			head := (*last)[0]
			if f.Measure == head.Measure && (f.Name == head.Name || strings.HasPrefix(f.Name, head.Name+": ")) {
				*last = append(*last, f)
				continue
			}
		}
		rows = append(rows, []figure{f})
	}
	return rows
}

// describe returns the medians of a row's figures, and the single runs of its first one. The JSON
// has the other runs.
func describe(row []figure) string {
	head := row[0]
	text := head.Median.String() + " " + head.Unit
	if len(head.Runs) > 1 {
		runs := make([]string, len(head.Runs))
		for i, v := range head.Runs {
			runs[i] = v.String()
		}
		text += " (" + strings.Join(runs, " ") + ")"
	}
	for _, f := range row[1:] {
		text += "; "
		if f.Name != head.Name {
			text += strings.TrimPrefix(f.Name, head.Name+": ") + " "
		}
		text += f.Median.String() + " " + f.Unit
	}
	return text
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

// String returns three significant digits, and never an exponent.
func (n number) String() string {
	f := float64(n)
	if math.IsNaN(f) || math.IsInf(f, 0) || math.Abs(f) >= 100 || f == 0 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(f))))
	text := strconv.FormatFloat(f, 'f', min(digits, 6), 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// writeJSON writes the whole file, or leaves the old one unchanged.
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
