package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Status tells the state of one hop.
type Status string

// The states of a hop.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Fail    Status = "FAIL"
	// Unknown means that the hop could not be examined; the report tells why.
	Unknown Status = "unknown"
)

// Finding holds what was seen at one hop.
type Finding struct {
	Hop    string `json:"hop"`
	Status Status `json:"status"`
	Seen   string `json:"seen"`
	// Culprit and Advice are set for a hop that fails: the likely cause, and what to do.
	Culprit string `json:"culprit,omitempty"`
	Advice  string `json:"advice,omitempty"`
}

// conclusion returns the likely cause, and what to do.
func (f Finding) conclusion() string {
	end := ". "
	if strings.HasSuffix(f.Culprit, "?") {
		end = " "
	}
	return f.Culprit + end + f.Advice
}

// Report holds all findings, in the order of the hops.
type Report struct {
	App      string    `json:"app,omitempty"`
	Findings []Finding `json:"hops"`
	// Healthy is true if no hop failed.
	Healthy bool `json:"healthy"`
	// Verdict names the culprit in one line.
	Verdict string `json:"verdict"`

	secrets []string
	// elsewhere is set when this environment is not the running logger's. Then a hop that cannot be
	// reached from here is not the logger's trouble, and the logger's own word counts.
	elsewhere bool
}

// add adds a finding. It cleans texts from other programs, and lets no secret through.
func (r *Report) add(f Finding) {
	for _, text := range []*string{&f.Seen, &f.Culprit, &f.Advice} {
		*text = r.clean(*text)
	}
	r.Findings = append(r.Findings, f)
}

func (r *Report) ok(hop, format string, args ...any) {
	r.add(Finding{Hop: hop, Status: OK, Seen: fmt.Sprintf(format, args...)})
}

func (r *Report) warn(hop, format string, args ...any) {
	r.add(Finding{Hop: hop, Status: Warning, Seen: fmt.Sprintf(format, args...)})
}

func (r *Report) unknown(hop, format string, args ...any) {
	r.add(Finding{Hop: hop, Status: Unknown, Seen: fmt.Sprintf(format, args...)})
}

func (r *Report) fail(hop, seen, culprit, advice string) {
	r.add(Finding{Hop: hop, Status: Fail, Seen: seen, Culprit: culprit, Advice: advice})
}

// failed reports whether a hop of that name has failed; "" stands for any hop.
func (r *Report) failed(hop string) bool {
	for _, f := range r.Findings {
		if f.Status == Fail && (hop == "" || f.Hop == hop) {
			return true
		}
	}
	return false
}

// clean returns the text as one printable line without secrets.
func (r *Report) clean(text string) string {
	for _, secret := range r.secrets {
		text = strings.ReplaceAll(text, secret, mask)
	}
	text = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return strings.Join(strings.Fields(text), " ")
}

// conclude writes the verdict. A broken hop hides those after it, so the first one that failed is
// the culprit.
func (r *Report) conclude(fine string) {
	r.Healthy = true
	var warnings, fails int
	var first Finding
	for _, f := range r.Findings {
		switch f.Status {
		case Fail:
			if fails == 0 {
				first = f
			}
			fails++
		case Warning, Unknown:
			if !r.elsewhere || f.Status == Warning && f.Hop != hopEnvironment {
				warnings++
			}
		default:
		}
	}
	switch {
	case fails > 0:
		r.Healthy = false
		r.Verdict = first.Hop + ": " + first.conclusion()
		if fails > 1 {
			r.Verdict += fmt.Sprintf(" (%d more failed, which may follow from it)", fails-1)
		}
	case warnings > 0:
		r.Verdict = fmt.Sprintf("nothing is broken as far as can be seen (%d not ok, see above): %s", warnings, fine)
	case r.elsewhere:
		r.Verdict = "nothing is broken according to the running logger, whose environment differs from this one: " + fine
	default:
		r.Verdict = "nothing is broken: " + fine
	}
	r.Verdict = r.clean(r.Verdict)
}

// WriteText writes the report for people, one line a hop.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-8s %-18s %s", f.Status, f.Hop, f.Seen)
		if f.Culprit != "" {
			b.WriteString(" => " + f.conclusion())
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "verdict: %s\n", r.Verdict)
	_, err := io.WriteString(w, b.String())
	return err
}
