package storagetest

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

// keeps appends the entries, in one batch and one by one, and expects them back.
func (s *subject) keeps(entries []sdk.Entry) {
	s.Helper()
	s.append("together", entries...)
	s.wantKept("together", len(entries), entries...)
	for _, e := range entries {
		s.append("apart", e)
	}
	s.wantKept("apart", len(entries), entries...)
	s.want(s.arrivals("apart"), entries...)
}

// fields: every field comes back as it was, set or not.
func fields(s *subject) {
	at := time.Date(2016, 10, 18, 20, 29, 38, 1, time.UTC)
	entries := []sdk.Entry{
		{},
		{
			Source: sdk.SourceApp, Process: "process", Release: "release", Pod: "pod", Container: "container",
			Stream: "stderr", Host: "host", Message: "message", CutBytes: 12,
		},
		{Source: sdk.SourceController, Message: "INFO scaled"},
		{Process: "only"},
		{Release: "only"},
		{Pod: "only"},
		{Container: "only"},
		{Stream: "only"},
		{Host: "only"},
		{Message: "only"},
		{Partial: true},
		{Partial: true, Message: "a piece", Source: 7, CutBytes: 1},
		{Level: sdk.LevelTrace},
		{Level: sdk.LevelFatal, Message: "only with a message"},
		{Level: sdk.LevelFatal, Partial: true, Source: 7, CutBytes: 1},
		{CutBytes: 1},
		{CutBytes: 1<<53 + 1}, // not a float64
		{CutBytes: math.MaxUint64},
		{Process: strings.Repeat("p", 300), Release: strings.Repeat("r", 300), Pod: strings.Repeat("o", 300)},
		{Stream: strings.Repeat("s", 300), Host: strings.Repeat("h", 300), Container: strings.Repeat("c", 300)},
		{Process: "wörker\n", Release: "\x00", Pod: "🐳", Stream: "\t", Host: "a b", Container: "é"},
	}
	for i := range entries {
		entries[i].Time, entries[i].Published = at, at.Add(time.Duration(i)*time.Second)
	}
	entries[0].Published = time.Unix(0, 1) // the earliest that a host may set
	s.keeps(entries)
}

// messages: any valid UTF-8 is kept byte for byte.
func messages(s *subject) {
	texts := []string{
		"",
		" ",
		"\n",
		"\n\n",
		"inner\nnew\n\nlines",
		"ends with one\n",
		"\r\n",
		"\x00",
		"a\x00b\x00",
		"\x1b[31mred\x1b[0m\a\b\x7f",
		"ünïcödé 漢字 👩‍👩‍👧‍👦 \u202e \ufeff \ufffd \U0010ffff",
		`{"json": "with \"quotes\" and \\ backslashes"}`,
		"<&>'\"`$%s%d%%",
		"-", "0", "+1", "nil", "null",
		strings.Repeat(".", 255),
		strings.Repeat(".", 256),
		strings.Repeat("é", 4000),
	}
	entries := numbered(1, len(texts))
	for i, text := range texts {
		entries[i].Message = text
	}
	s.keeps(entries)
}

// times: every moment that RFC 3339 can write is kept, with its own offset.
func times(s *subject) {
	var entries []sdk.Entry
	for i, at := range []time.Time{
		{},
		time.Unix(0, 0).UTC(),
		time.Unix(0, 1).UTC(),
		time.Unix(0, -1).UTC(),
		time.Unix(-1, 0).UTC(),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC),
		time.Date(1677, 9, 21, 0, 12, 43, 0, time.UTC), // just outside what nanoseconds since 1970 hold
		time.Date(2016, 2, 29, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(2262, 4, 11, 23, 47, 17, 0, time.UTC), // likewise
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
	} {
		for j, offset := range []int{
			0,
			2 * 3600,
			-8 * 3600,
			5*3600 + 45*60,
			-30 * 60,
			-(3*3600 + 30*60),
			14 * 3600,
			-12 * 3600,
			23*3600 + 59*60,
			-(23*3600 + 59*60),
			19*60 + 32, // Amsterdam's until 1937
			-1,
		} {
			e := line(len(entries))
			e.Message = fmt.Sprintf("time %d, offset %d", i, j)
			// The same clock in another place, so that the year has four digits there.
			e.Time = time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(),
				time.FixedZone("", offset))
			entries = append(entries, e)
		}
	}
	for len(entries) > 0 {
		n := min(50, len(entries)) // within the lines that are kept
		s.keeps(entries[:n])
		entries = entries[n:]
		s.delete("together")
		s.delete("apart")
	}
}

// longMessages: the longest messages that a host sends by default, and far longer ones, are kept.
func longMessages(s *subject) {
	sizes := []int{4095, 4096, 4097, 64 << 10, 10, 64<<10 + 1, 1 << 20, 0, 1<<20 + 1, 1}
	entries := numbered(1, len(sizes))
	for i, size := range sizes {
		entries[i].Message = strings.Repeat(fmt.Sprintf("%08d", size), size/8+1)[:size]
	}
	s.keeps(entries)
	s.want(s.newest(sdk.ReadOptions{App: "apart", Limit: 2}).Entries, entries[8:]...)
	after := sdk.Cursor{Epoch: s.all("apart").Epoch, Position: 6}
	s.want(s.walk(sdk.ReadOptions{App: "apart", Limit: 1, After: after}).arrived, entries[6:]...)
}

// appNames: every name is an app of its own, whatever it means to a backend.
func appNames(s *subject) {
	names := []string{
		"a", "aa", "aaa", "A", "A.b_c-d", "foo", "foo-", "foo-bar", "foo.bar", "foo_bar", "Foo",
		"lines", "meta", "apps", "app", "logs", "logger", "epoch", "seq", "head", "index", "0", "-1",
		"foo:lines", "foo:meta", "{foo}", "{", "}", "*", "?", "[a]", "a b", "a/b", "../a", "über", "🐳",
		strings.Repeat("x", 62), strings.Repeat("x", 63), strings.Repeat("x", 62) + "y", strings.Repeat("x", 253),
	}
	for round := range 2 {
		batch := sdk.Batch{ID: s.next()}
		for i, name := range names {
			batch.Apps = append(batch.Apps, sdk.AppEntries{App: name, Entries: numbered(i*10+round+1, i*10+round+1)})
		}
		s.appendBatch(batch)
	}
	for i, name := range names {
		s.want(s.all(name).Entries, numbered(i*10+1, i*10+2)...)
	}
	for i, name := range names {
		if i%2 == 0 {
			s.delete(name)
		}
	}
	for i, name := range names {
		if i%2 == 0 {
			s.want(s.all(name).Entries)
		} else {
			s.want(s.all(name).Entries, numbered(i*10+1, i*10+2)...)
		}
	}
}

// ownership: the batch is the caller's again when Append returned, and a page is
// its reader's.
func ownership(s *subject) {
	entries := numbered(1, 5)
	apps := []sdk.AppEntries{{App: "foo", Entries: entries}}
	s.appendBatch(sdk.Batch{ID: s.next(), Apps: apps})
	for i := range entries {
		entries[i] = sdk.Entry{Message: "overwritten by the caller"}
	}
	apps[0].App = "bar"
	page := s.all("foo")
	s.want(page.Entries, numbered(1, 5)...)
	for i := range page.Entries {
		page.Entries[i] = sdk.Entry{Message: "overwritten by the reader"}
	}
	_ = append(page.Entries[:2], sdk.Entry{Message: "appended by the reader"})
	s.want(s.all("foo").Entries, numbered(1, 5)...)
}
