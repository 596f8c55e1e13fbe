package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
)

// TestFilterSaysTheSame: for random entries and filters, what the database answers to a filter is
// what passes the SDK's, if the filter has no regular expression that is more than a text; else it
// is that and maybe more.
func TestFilterSaysTheSame(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	some := func(of ...string) (texts []string) {
		for range random.IntN(3) {
			texts = append(texts, one(of...))
		}
		return texts
	}
	pods := []string{"", "web", "-", "-web", "foo-web", "foo-web-", "a-b-web", "é-ü", "ü", "foo", "\x00-\x00", "\x00"}
	words := []string{"", "a", "A", "ab", "é", "\x00", "100%", "_", `\`, "a.b", "axb", "'", "\n"}
	plain := []string{"a", "ab", "é", `\x00`, "100%", "_", `\\`, `a\.b`, "'", `\n`, `(?-i)a`, `(?:a)b`}
	regular := []string{"", "a.b", "^a", "b$", "(?i)a", "[ab]", "a|b", "(a)", "a*"}
	at := time.Unix(1_700_000_000, 0)
	moment := func() time.Time {
		return at.Add(time.Duration(random.IntN(5)) * time.Second).Add(time.Duration(random.IntN(3)) * time.Nanosecond).In(time.FixedZone("", 3600*random.IntN(3)))
	}
	s := openEmpty(t, 1000)
	var entries []sdk.Entry
	for i := range 400 {
		entries = append(entries, sdk.Entry{
			Time: moment(), Published: at.Add(time.Duration(i) * time.Second),
			Process: one("", "web", "WEB", "worker"), Release: one("", "v1", "v10"), Stream: one("", "stdout", "stderr"),
			Pod: one(pods...), Source: sdk.Source(random.IntN(4)), Level: sdk.Level(random.IntN(7)), Partial: random.IntN(4) == 0,
			Message: one(words...) + one(words...) + one(words...),
		})
	}
	appendUntil(t, s, batch("w", 1, "foo", entries...))
	passed := 0
	for range 400 {
		f := sdk.Filter{}
		exact := true
		for _, set := range []func(){
			func() { f.Since = moment() },
			func() { f.Until = moment() },
			func() { f.Process = some("", "web", "worker") },
			func() { f.Release = some("", "v1", "v10", "v") },
			func() { f.Stream = some("", "stdout", "stderr") },
			func() { f.Pod = some(pods...) },
			func() { f.Source = []sdk.Source{sdk.Source(random.IntN(4)), sdk.SourceApp} },
			func() { f.Level = sdk.Level(random.IntN(7)) },
			func() { f.Include = some(plain...) },
			func() { f.Exclude = some(plain...) },
			func() { f.Include, exact = append(f.Include, one(regular...)), false },
			func() { f.Exclude, exact = append(f.Exclude, one(regular...)), false },
		} {
			if random.IntN(6) == 0 {
				set()
			}
		}
		matcher, err := f.Compile()
		if err != nil {
			t.Fatal(err)
		}
		opts := sdk.ReadOptions{App: "foo", Limit: -1, Filter: f}
		page, err := s.Read(t.Context(), opts)
		if err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		answered := map[uint64]bool{}
		for i := range page.Entries {
			answered[page.Entries[i].Position] = true
		}
		for i := range entries {
			ok, err := matcher.Match(t.Context(), &entries[i])
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				passed++
			}
			if got := answered[uint64(i+1)]; got != ok && (exact || ok) {
				t.Fatalf("filter %+v: entry %+v: the database answers it: %v, the SDK: %v", f, entries[i], got, ok)
			}
		}
	}
	if passed == 0 {
		t.Error("nothing passed any filter")
	}
}

// TestPlainTexts: what looks like a text and is not stays with the SDK.
func TestPlainTexts(t *testing.T) {
	for pattern, want := range map[string]string{
		"text": "text", `a\.b`: "a.b", `\Qa.b\E`: "a.b", "^text$": "", "(?i)text": "", "te?xt": "", "a|b": "", "": "",
		"(": "", "text$": "", `\btext`: "",
	} {
		var texts []string
		for _, text := range plainTexts([]string{pattern}) {
			texts = append(texts, string(text))
		}
		if got := strings.Join(texts, ","); got != want {
			t.Errorf("%q is %q, want %q", pattern, got, want)
		}
	}
}
