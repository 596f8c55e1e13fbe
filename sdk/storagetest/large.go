package storagetest

import (
	"strings"

	"github.com/deis/logger/sdk"
)

// largeLogs: a log of more than 10,000 small entries is read whole, each way, although it
// takes many pages.
func largeLogs(s *subject) {
	const total, size = 12_500, 500                     // of which 12,000 are kept
	for first := 1; first <= total; first += 2 * size { // the odd ones of 1,000 come before the even ones
		s.append("foo", every(2, first, min(first+2*size-1, total))...)
		s.append("foo", every(2, first+1, min(first+2*size-1, total))...)
	}
	kept := numbered(501, total)
	page := s.wantKept("foo", total, kept...)
	for _, limit := range []int{11_000, 12_000, 1 << 40} {
		s.want(s.newest(sdk.ReadOptions{App: "foo", Limit: limit}).Entries, kept[max(0, len(kept)-limit):]...)
	}
	for _, limit := range []int{-1, 5000} {
		w := s.arrivesAfter(sdk.ReadOptions{App: "foo", Limit: limit, After: sdk.Beginning()}, 0, kept)
		if w.at != page.End() {
			s.Errorf("read up to %q, want %q", w.at, page.End())
		}
		w = s.walk(sdk.ReadOptions{App: "foo", Limit: limit, After: page.End().At(&page.Entries[1000])})
		s.want(w.history, kept[1001:]...)
	}
	backward := s.newest(sdk.ReadOptions{App: "foo", Limit: -1, Before: page.End().At(&page.Entries[11_500])})
	s.want(backward.Entries, kept[:11_500]...)
	for _, text := range []string{"7$", "line 501$", "^line 12500$", "none"} {
		passes := func(e *sdk.Entry) bool {
			prefixed := !strings.HasPrefix(text, "^") || strings.HasPrefix(e.Message, strings.Trim(text, "^$"))
			return prefixed && strings.HasSuffix(e.Message, strings.Trim(text, "^$"))
		}
		filter := sdk.Filter{Include: []string{text}}
		s.want(s.newest(sdk.ReadOptions{App: "foo", Limit: -1, Filter: filter}).Entries, passing(kept, passes)...)
		w := s.walk(sdk.ReadOptions{App: "foo", Limit: -1, After: sdk.Beginning(), Filter: filter})
		s.want(published(w.arrived)[max(0, len(w.arrived)-len(passing(kept, passes))):], passing(kept, passes)...)
	}
}
