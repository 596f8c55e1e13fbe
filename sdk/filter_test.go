package sdk

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 0, "seed of random tests; 0 takes another each time, which is printed")

// random returns random numbers that can be repeated.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

func (m *Matcher) must(t *testing.T, e *Entry) bool {
	t.Helper()
	ok, err := m.Match(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func compiled(t *testing.T, f Filter) *Matcher {
	t.Helper()
	m, err := f.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFilterFields(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	e := Entry{
		Time: at.In(time.FixedZone("", 7200)), Process: "web", Release: "v2", Pod: "foo-web-845861952-nzf60", Stream: "stderr",
		Source: SourceController, Message: "GET /index 200", Level: LevelWarn,
	}
	for name, tc := range map[string]struct {
		filter Filter
		passes bool
	}{
		"none":                 {Filter{}, true},
		"since now":            {Filter{Since: at}, true},
		"since later":          {Filter{Since: at.Add(1)}, false},
		"until now":            {Filter{Until: at}, true},
		"until earlier":        {Filter{Until: at.Add(-1)}, false},
		"process":              {Filter{Process: []string{"worker", "web"}}, true},
		"another process":      {Filter{Process: []string{"we"}}, false},
		"release":              {Filter{Release: []string{"v2"}}, true},
		"another release":      {Filter{Release: []string{"v20"}}, false},
		"stream":               {Filter{Stream: []string{"stderr"}}, true},
		"another stream":       {Filter{Stream: []string{"stdout"}}, false},
		"source":               {Filter{Source: []Source{SourceApp, SourceController}}, true},
		"another source":       {Filter{Source: []Source{SourceApp}}, false},
		"its level":            {Filter{Level: LevelWarn}, true},
		"a lower level":        {Filter{Level: LevelTrace}, true},
		"a higher level":       {Filter{Level: LevelError}, false},
		"pod":                  {Filter{Pod: []string{"foo-web-845861952-nzf60"}}, true},
		"end of the pod":       {Filter{Pod: []string{"nzf60"}}, true},
		"part of its end":      {Filter{Pod: []string{"zf60"}}, false},
		"more than its end":    {Filter{Pod: []string{"845861952-nzf60"}}, false},
		"include":              {Filter{Include: []string{"POST", `\d{3}$`}}, true},
		"include nothing":      {Filter{Include: []string{"POST", "PUT"}}, false},
		"exclude":              {Filter{Exclude: []string{"POST", "index"}}, false},
		"exclude nothing":      {Filter{Exclude: []string{"POST", "PUT"}}, true},
		"include and exclude":  {Filter{Include: []string{"GET"}, Exclude: []string{"200"}}, false},
		"all fields but one":   {Filter{Since: at, Process: []string{"web"}, Release: []string{"v3"}}, false},
		"an empty expression":  {Filter{Include: []string{""}}, true},
		"an empty exclude":     {Filter{Exclude: []string{""}}, false},
		"end of no pod at all": {Filter{Pod: []string{""}}, false},
	} {
		if got := compiled(t, tc.filter).must(t, &e); got != tc.passes {
			t.Errorf("%s: passes %t, want %t", name, got, tc.passes)
		}
		if tc.filter.IsZero() != (name == "none") {
			t.Errorf("%s: is zero: %t", name, tc.filter.IsZero())
		}
	}
}

// TestFilterLimits: an expression that is too expensive is refused before it is compiled.
func TestFilterLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		filter Filter
		want   error
	}{
		"a long literal, often": {Filter{Include: []string{"(?:" + strings.Repeat("x", 980) + "){1000}"}}, ErrTooExpensive},
		"optional, often":       {Filter{Include: []string{"(?s)(?:" + strings.Repeat(".?", 480) + "){1000}y"}}, ErrTooExpensive},
		"nested repetitions":    {Filter{Exclude: []string{"((((x{10}){10}){10}){10}){10}"}}, ErrInvalid},
		"nested and wide":       {Filter{Exclude: []string{`(?:(?:\pL{10}){10}){10}`}}, ErrTooExpensive},
		"too long":              {Filter{Include: []string{strings.Repeat("x", MaxPatternBytes+1)}}, ErrTooExpensive},
		"together too large":    {Filter{Include: slices.Repeat([]string{"x{600}"}, 4), Exclude: slices.Repeat([]string{"y{600}"}, 4)}, ErrTooExpensive},
		"too many":              {Filter{Include: slices.Repeat([]string{"x"}, MaxPatterns+1)}, ErrInvalid},
		"none at all":           {Filter{Include: []string{"("}}, ErrInvalid},
		"of another language":   {Filter{Include: []string{`(?=x)`}}, ErrInvalid},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, err := tc.filter.Compile()
		runtime.ReadMemStats(&after)
		if !errors.Is(err, tc.want) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want one that is %v", name, err, tc.want)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 4<<20 {
			t.Errorf("%s: took %d bytes in %s to be refused", name, taken, time.Since(began))
		}
	}
	for name, f := range map[string]Filter{
		"as long as may be": {Include: []string{strings.Repeat("x", MaxPatternBytes)}},
		"as many":           {Include: slices.Repeat([]string{"x"}, MaxPatterns), Exclude: slices.Repeat([]string{"x"}, MaxPatterns)},
		"of some size":      {Include: []string{`(?i)(error|warn(ing)?|fatal)\b.{0,100}\d+ms`}},
	} {
		if _, err := f.Compile(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLiteralsChangeNothing compares a filter with the expression alone. The texts contain k and s,
// which have a third case each.
func TestLiteralsChangeNothing(t *testing.T) {
	r := random(t)
	letters := []string{"k", "K", "\u212a", "s", "S", "\u017f", "a", "A", "b", "é", "É", "1", ".", "\n", "x", "ab"}
	text := func(n int) string {
		var b strings.Builder
		for range r.IntN(n) {
			_, _ = b.WriteString(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	pieces := []func() string{
		func() string { return regexp.QuoteMeta(text(4)) },
		func() string { return "(?:" + regexp.QuoteMeta(text(4)) + "|" + regexp.QuoteMeta(text(3)) + ")" },
		func() string { return "(" + regexp.QuoteMeta(text(4)) + ")" },
		func() string { return "(?:" + regexp.QuoteMeta(text(3)) + ")+" },
		func() string { return "(?:" + regexp.QuoteMeta(text(3)) + "){2}" },
		func() string { return "(?:" + regexp.QuoteMeta(text(3)) + "){0,2}" },
		func() string { return "(?:" + regexp.QuoteMeta(text(3)) + ")*" },
		func() string { return "(?i:" + regexp.QuoteMeta(text(4)) + ")" },
		func() string { return "[ak1]?" },
		func() string { return "." },
		func() string { return "^" },
		func() string { return "$" },
	}
	literals, matched := 0, 0
	for range 4000 {
		expression := []string{"", "", "(?i)", "(?s)", "(?is)"}[r.IntN(5)]
		for range 1 + r.IntN(4) {
			expression += pieces[r.IntN(len(pieces))]()
		}
		re, err := regexp.Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		m := compiled(t, Filter{Include: []string{expression}})
		if m.include[0].literal != "" {
			literals++
		}
		for range 20 {
			e := Entry{Message: text(12)}
			got, want := m.must(t, &e), re.MatchString(e.Message)
			if got != want {
				t.Fatalf("%q on %q: %t, want %t", expression, e.Message, got, want)
			}
			if got {
				matched++
			}
		}
	}
	if literals < 1000 || matched < 5000 {
		t.Errorf("%d expressions had a literal, %d texts matched: too few to say much", literals, matched)
	}
}

// TestLongTextsMatchAlike: a text that is read rune by rune matches as in one piece.
func TestLongTextsMatchAlike(t *testing.T) {
	for _, expression := range []string{`^a.*z$`, `q[^z]*z$`, `(?i)K+z`, `x{50}y`, `\bz`, `é.*z`} {
		for _, message := range []string{"a" + strings.Repeat("é", 1<<20) + "z", strings.Repeat("x", 1<<20) + "yz", strings.Repeat("\u212a", 1<<19) + "z", strings.Repeat("q", 2<<20)} {
			got := compiled(t, Filter{Include: []string{expression}}).must(t, &Entry{Message: message})
			if want := regexp.MustCompile(expression).MatchString(message); got != want {
				t.Errorf("%q on %d bytes: %t, want %t", expression, len(message), got, want)
			}
		}
	}
}

// TestMatchEndsWithItsContext: when the caller leaves, a long match ends within a line.
func TestMatchEndsWithItsContext(t *testing.T) {
	m := compiled(t, Filter{Include: []string{"(?s)" + strings.Repeat(".?", 400) + "y{2}q"}})
	e := Entry{Message: strings.Repeat("y", 4<<20)} // would take minutes
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := m.Match(ctx, &e)
		ended <- err
	}()
	began := time.NewTimer(50 * time.Millisecond)
	defer began.Stop()
	select {
	case err := <-ended:
		t.Fatalf("it ended by itself: %v", err)
	case <-began.C:
	}
	left := time.Now()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	t.Logf("it ended %s after its context", time.Since(left))
	if _, err := m.Match(ctx, &e); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}
