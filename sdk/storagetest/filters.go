package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

// assorted returns entries of several sources, in several orders, with fields of all kinds.
func assorted(s *subject, app string) []sdk.Entry {
	s.Helper()
	const total = 300
	var late, onTime []sdk.Entry
	for i := 1; i <= total; i++ {
		e := line(i)
		e.Time = e.Time.Add(time.Duration(i*37%11) * 3 * time.Second) // its own time has an order of its own
		e.Process = []string{"web", "worker", "web2", ""}[i%4]
		e.Release = []string{"v2", "v20", "v3"}[i%3]
		e.Pod = []string{"foo-web-845861952-nzf60", "foo-web-845861952-abcde", "nzf60", "foo-nzf6", ""}[i%5]
		e.Stream = []string{"stdout", "stderr", ""}[i%7%3]
		e.Source = []sdk.Source{sdk.SourceApp, sdk.SourceController, sdk.SourceUnknown}[i%11%3]
		e.Level = sdk.Level(i * 5 % 7)
		e.Message = fmt.Sprintf("%s %d %s", []string{"GET", "POST", "get", "Straße\nKelvin K ſ"}[i%13%4], i, strings.Repeat("x", i%17))
		if i%50 == 0 {
			e.Message = "needle " + e.Message
		}
		e.Partial = i%31 == 0
		if i%6 == 0 {
			late = append(late, e)
		} else {
			onTime = append(onTime, e)
		}
		if i%60 == 0 {
			s.append(app, onTime...)
			s.append(app, late...)
			onTime, late = nil, nil
		}
	}
	all := s.all(app).Entries
	if len(all) != total {
		s.Fatalf("%d entries, want %d", len(all), total)
	}
	return all
}

// filterCase holds a filter, and which entries pass it.
type filterCase struct {
	name   string
	filter sdk.Filter
	passes func(e *sdk.Entry) bool
}

func filterCases(all []sdk.Entry) []filterCase {
	from, to := all[80].Time, all[200].Time
	if to.Before(from) {
		from, to = to, from
	}
	contains := func(text string) func(*sdk.Entry) bool {
		return func(e *sdk.Entry) bool { return strings.Contains(e.Message, text) }
	}
	cases := []filterCase{
		{"since", sdk.Filter{Since: from}, func(e *sdk.Entry) bool { return !e.Time.Before(from) }},
		{"until", sdk.Filter{Until: to}, func(e *sdk.Entry) bool { return !e.Time.After(to) }},
		{"since and until", sdk.Filter{Since: from, Until: to}, func(e *sdk.Entry) bool { return !e.Time.Before(from) && !e.Time.After(to) }},
		{"one moment", sdk.Filter{Since: from, Until: from}, func(e *sdk.Entry) bool { return e.Time.Equal(from) }},
		{"process", sdk.Filter{Process: []string{"web"}}, func(e *sdk.Entry) bool { return e.Process == "web" }},
		{"two processes", sdk.Filter{Process: []string{"web", "worker"}}, func(e *sdk.Entry) bool { return e.Process == "web" || e.Process == "worker" }},
		{"no process", sdk.Filter{Process: []string{""}}, func(e *sdk.Entry) bool { return e.Process == "" }},
		{"release", sdk.Filter{Release: []string{"v2"}}, func(e *sdk.Entry) bool { return e.Release == "v2" }},
		{"pod", sdk.Filter{Pod: []string{"foo-web-845861952-abcde"}}, func(e *sdk.Entry) bool { return e.Pod == "foo-web-845861952-abcde" }},
		{"end of a pod", sdk.Filter{Pod: []string{"nzf60"}}, func(e *sdk.Entry) bool { return e.Pod == "nzf60" || strings.HasSuffix(e.Pod, "-nzf60") }},
		{"stream", sdk.Filter{Stream: []string{"stderr"}}, func(e *sdk.Entry) bool { return e.Stream == "stderr" }},
		{"source", sdk.Filter{Source: []sdk.Source{sdk.SourceController}}, func(e *sdk.Entry) bool { return e.Source == sdk.SourceController }},
		{"least level", sdk.Filter{Level: sdk.LevelWarn}, func(e *sdk.Entry) bool { return e.Partial || e.Level >= sdk.LevelWarn }},
		{"any level", sdk.Filter{Level: sdk.LevelTrace}, func(e *sdk.Entry) bool { return e.Partial || e.Level != sdk.LevelUnknown }},
		{"a text", sdk.Filter{Include: []string{"needle"}}, contains("needle")},
		{"text in any case", sdk.Filter{Include: []string{"(?i)get|kelvin k"}}, func(e *sdk.Entry) bool {
			return strings.Contains(strings.ToLower(e.Message), "get") || strings.Contains(e.Message, "Kelvin K")
		}},
		{"one of two texts", sdk.Filter{Include: []string{"^POST", "needle"}}, func(e *sdk.Entry) bool {
			return strings.HasPrefix(e.Message, "POST") || strings.Contains(e.Message, "needle")
		}},
		{"an expression", sdk.Filter{Include: []string{`^GET \d\d? x{3,5}$`}}, func(e *sdk.Entry) bool {
			var verb, x string
			var n int
			_, _ = fmt.Sscanf(e.Message, "%s %d %s", &verb, &n, &x)
			return verb == "GET" && n < 100 && len(x) >= 3 && len(x) <= 5
		}},
		{"exclude", sdk.Filter{Exclude: []string{"GET", "needle"}}, func(e *sdk.Entry) bool {
			return !strings.Contains(e.Message, "GET") && !strings.Contains(e.Message, "needle")
		}},
		{"nothing passes", sdk.Filter{Include: []string{"no such text"}}, func(*sdk.Entry) bool { return false }},
		{"everything passes", sdk.Filter{Exclude: []string{"no such text"}}, func(*sdk.Entry) bool { return true }},
		{
			"all at once",
			sdk.Filter{
				Since: all[10].Time, Until: all[290].Time, Process: []string{"web", "web2", "worker"}, Release: []string{"v2", "v3"},
				Pod: []string{"nzf60", "abcde"}, Stream: []string{"stdout"}, Source: []sdk.Source{sdk.SourceApp, sdk.SourceController},
				Include: []string{`x\b`}, Exclude: []string{"POST"}, Level: sdk.LevelDebug,
			},
			func(e *sdk.Entry) bool {
				return !e.Time.Before(all[10].Time) && !e.Time.After(all[290].Time) && e.Process != "" && e.Release != "v20" &&
					(e.Pod == "nzf60" || strings.HasSuffix(e.Pod, "-nzf60") || strings.HasSuffix(e.Pod, "-abcde")) && e.Stream == "stdout" &&
					e.Source != sdk.SourceUnknown && (e.Partial || e.Level >= sdk.LevelDebug && strings.HasSuffix(e.Message, "x") && !strings.Contains(e.Message, "POST"))
			},
		},
	}
	for i := range cases {
		c := cases[i]
		if f := c.filter; f.Process == nil && len(f.Include)+len(f.Exclude) > 0 { // a piece passes with any text
			cases[i].passes = func(e *sdk.Entry) bool { return e.Partial || c.passes(e) }
		}
	}
	return cases
}

func passing(entries []sdk.Entry, passes func(*sdk.Entry) bool) []sdk.Entry {
	var out []sdk.Entry
	for i := range entries {
		if passes(&entries[i]) {
			out = append(out, entries[i])
		}
	}
	return out
}

// filters: a read answers exactly the entries that pass, for each field of a filter and each way of
// reading.
func filters(s *subject) {
	all := assorted(s, "foo")
	arrived := s.arrivals("foo")
	end := s.end()
	for i, c := range filterCases(all) {
		opts := sdk.ReadOptions{App: "foo", Limit: -1, Filter: c.filter}
		want := passing(all, c.passes)
		got := s.newest(opts).Entries
		if len(got) != len(want) {
			s.Fatalf("%s: %d entries pass, want %d", c.name, len(got), len(want))
		}
		s.want(got, want...)
		for _, limit := range []int{1 + 7*i, -1} {
			opts.Limit, opts.After = limit, sdk.Beginning()
			w := s.walk(opts)
			s.want(w.arrived, passing(arrived, c.passes)...)
			if w.gone != 0 || w.at != end {
				s.Errorf("%s: %d gone, read up to %q, want none, %q", c.name, w.gone, w.at, end)
			}
			opts.After = end.At(&all[99])
			w = s.walk(opts)
			s.want(w.history, passing(all[100:], c.passes)...)
			if len(w.arrived) > 0 || w.at != end {
				s.Errorf("%s: %d entries after the history, read up to %q", c.name, len(w.arrived), w.at)
			}
		}
	}
}

// filterAndLimit: the limit counts entries that pass, and reading goes on where it cuts.
func filterAndLimit(s *subject) {
	all := assorted(s, "foo")
	for _, c := range filterCases(all) {
		want := passing(all, c.passes)
		for _, limit := range []int{2, 25, len(all)} {
			page := s.newest(sdk.ReadOptions{App: "foo", Limit: limit, Filter: c.filter})
			s.want(page.Entries, want[max(0, len(want)-limit):]...)
			// Reading backward from there finds the rest, and a history goes on after each of them.
			rest := s.newest(sdk.ReadOptions{App: "foo", Limit: -1, Before: page.Next, Filter: c.filter})
			s.want(rest.Entries, want[:max(0, len(want)-limit)]...)
			for i := 0; i < len(page.Entries); i += 1 + len(page.Entries)/2 {
				w := s.walk(sdk.ReadOptions{App: "foo", Limit: limit, After: page.End().At(&page.Entries[i]), Filter: c.filter})
				s.want(w.all(), page.Entries[i+1:]...)
			}
		}
		if page := s.newest(sdk.ReadOptions{App: "foo", Filter: c.filter}); len(page.Entries) > 0 || page.Last != uint64(len(all)) {
			s.Errorf("%s, limit 0: %d entries, last position %d", c.name, len(page.Entries), page.Last)
		}
	}
}

// omitMessages: a read that needs no messages answers the entries of one that does. Their messages
// are their own or empty. The next reader that needs them gets them.
func omitMessages(s *subject) {
	all := assorted(s, "foo")
	end := s.end()
	for _, c := range filterCases(all) {
		for _, opts := range []sdk.ReadOptions{
			{Limit: -1}, {Limit: 25}, {Limit: -1, After: sdk.Beginning()}, {Limit: 25, After: sdk.Beginning()}, {Limit: -1, After: end.At(&all[99])},
		} {
			opts.App, opts.Filter = "foo", c.filter
			read := func() []sdk.Entry {
				if opts.After.IsZero() {
					return s.newest(opts).Entries
				}
				w := s.walk(opts)
				return w.all()
			}
			want := read()
			opts.OmitMessages = true
			got := slices.Clone(read())
			opts.OmitMessages = false
			for i := range min(len(got), len(want)) {
				if got[i].Message == "" {
					got[i].Message = want[i].Message
				}
			}
			s.want(got, want...)
			s.want(read(), want...)
		}
	}
}

// filterAndGone: entries that are gone count, although nobody knows whether they would have passed.
// Entries that are kept and do not pass are not gone.
func filterAndGone(s *subject) {
	s.append("foo", numbered(1, 5)...)
	epoch := s.all("foo").Epoch
	for n := 6; n <= 60; n++ {
		s.append("foo", line(n))
		if n%4 == 0 && n > 20 {
			s.append("foo", line(n-20))
		}
	}
	last := s.all("foo").Last
	for position := uint64(0); position <= last; position += 3 {
		opts := sdk.ReadOptions{App: "foo", Limit: -1, After: sdk.Cursor{Epoch: epoch, Position: position}}
		whole := s.walk(opts)
		opts.Filter = sdk.Filter{Include: []string{"[05]$"}}
		passes := func(e *sdk.Entry) bool { return strings.HasSuffix(e.Message, "0") || strings.HasSuffix(e.Message, "5") }
		for _, limit := range []int{3, -1} {
			opts.Limit = limit
			w := s.walk(opts)
			s.want(w.arrived, passing(whole.arrived, passes)...)
			if w.gone != whole.gone || w.at.Position != last {
				s.Errorf("after %d, limit %d: %d gone up to %d, want %d up to %d", position, limit, w.gone, w.at.Position, whole.gone, last)
			}
		}
	}
}

// filterRefused: a text that is no expression is refused as invalid, and one that takes too much as
// too expensive.
func filterRefused(s *subject) {
	s.append("foo", line(1))
	for _, c := range []struct {
		include string
		want    error
	}{
		{"(", sdk.ErrInvalid},
		{`\8`, sdk.ErrInvalid},
		{"(?:" + strings.Repeat("x", 900) + "){1000}", sdk.ErrTooExpensive},
		{strings.Repeat("x", sdk.MaxPatternBytes+1), sdk.ErrTooExpensive},
	} {
		_, err := s.page(s.Context(), sdk.ReadOptions{App: "foo", Limit: -1, Filter: sdk.Filter{Include: []string{c.include}}})
		if !errors.Is(err, c.want) {
			s.Errorf("include=%.30q: %v, want one that is %v", c.include, err, c.want)
		}
	}
	many := slices.Repeat([]string{"x"}, sdk.MaxPatterns+1)
	if _, err := s.page(s.Context(), sdk.ReadOptions{App: "foo", Limit: -1, Filter: sdk.Filter{Exclude: many}}); !errors.Is(err, sdk.ErrInvalid) {
		s.Errorf("%d expressions: %v, want one that is %v", len(many), err, sdk.ErrInvalid)
	}
	s.want(s.all("foo").Entries, line(1))
}
