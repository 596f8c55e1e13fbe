package storagetest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/deis/logger/sdk"
)

// keeps appends the entries, in one batch and one by one, and expects them back.
func (s *subject) keeps(entries []sdk.Entry) {
	s.Helper()
	s.append("together", entries...)
	s.want(s.all("together"), 1, entries...)
	for _, e := range entries {
		s.append("apart", e)
	}
	s.want(s.all("apart"), 1, entries...)
}

// fields: every field comes back as it was, set or not.
func fields(s *subject) {
	at := time.Date(2016, 10, 18, 20, 29, 38, 1, time.UTC)
	s.keeps([]sdk.Entry{
		{Time: at},
		{
			Time: at, Published: at.Add(time.Nanosecond), Source: sdk.SourceApp, Process: "process", Release: "release",
			Pod: "pod", Stream: "stderr", Host: "host", Message: "message", CutBytes: 12,
		},
		{Time: at, Published: time.Unix(0, 1)},
		{Time: at, Source: sdk.SourceController, Message: "INFO scaled"},
		{Time: at, Process: "only"},
		{Time: at, Release: "only"},
		{Time: at, Pod: "only"},
		{Time: at, Stream: "only"},
		{Time: at, Host: "only"},
		{Time: at, Message: "only"},
		{Time: at, CutBytes: 1},
		{Time: at, CutBytes: 1<<53 + 1}, // not a float64
		{Time: at, CutBytes: math.MaxUint64},
		{Time: at, Process: strings.Repeat("p", 300), Release: strings.Repeat("r", 300), Pod: strings.Repeat("o", 300)},
		{Time: at, Stream: strings.Repeat("s", 300), Host: strings.Repeat("h", 300)},
		{Time: at, Process: "wörker\n", Release: "\x00", Pod: "🐳", Stream: "\t", Host: "a b"},
	})
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

// times: every moment that RFC 3339 can write, in its own offset.
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
			e := numbered(i, i)[0]
			e.Message = fmt.Sprintf("time %d, offset %d", i, j)
			// The same clock in another place, so that the year has four digits there.
			e.Time = time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(),
				time.FixedZone("", offset))
			if j%2 == 0 {
				e.Published = time.Time{}
			}
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

// longMessages: the longest that a host sends by default, and far longer ones.
func longMessages(s *subject) {
	sizes := []int{4095, 4096, 4097, 64 << 10, 10, 64<<10 + 1, 1 << 20, 0, 1<<20 + 1, 1}
	entries := numbered(1, len(sizes))
	for i, size := range sizes {
		entries[i].Message = strings.Repeat(fmt.Sprintf("%08d", size), size/8+1)[:size]
	}
	s.keeps(entries)
	s.want(s.read(sdk.ReadOptions{App: "apart", Limit: 2}), 9, entries[8:]...)
	after := sdk.Cursor{Epoch: s.all("apart").Epoch, Position: 6}
	s.want(s.read(sdk.ReadOptions{App: "apart", Limit: 1, After: after}), 7, entries[6])
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
		s.want(s.all(name), 1, numbered(i*10+1, i*10+2)...)
	}
	for i, name := range names {
		if i%2 == 0 {
			s.delete(name)
		}
	}
	for i, name := range names {
		if i%2 == 0 {
			s.want(s.all(name), 1)
		} else {
			s.want(s.all(name), 1, numbered(i*10+1, i*10+2)...)
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
	s.want(page, 1, numbered(1, 5)...)
	for i := range page.Entries {
		page.Entries[i] = sdk.Entry{Message: "overwritten by the reader"}
	}
	_ = append(page.Entries[:2], sdk.Entry{Message: "appended by the reader"})
	s.want(s.all("foo"), 1, numbered(1, 5)...)
}

// copies: what is stored does not change with the memory of a batch. A [sdk.BatchCopier] has it
// overwritten here; behind the wire, the batches that follow may do it.
func copies(s *subject) {
	c, ok := s.storage.(sdk.BatchCopier)
	var lent [][]byte
	lend := func(text string) string {
		b := []byte(text)
		lent = append(lent, b)
		return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // G103: lent
	}
	entries := numbered(1, 50)
	for i := range entries {
		entries[i].Pod, entries[i].Host = "foo-web-1", "host-1"
	}
	id := s.next()
	batch := sdk.Batch{
		ID:   sdk.BatchID{Writer: lend(id.Writer), Sequence: id.Sequence},
		Apps: []sdk.AppEntries{{App: lend("foo"), Entries: slices.Clone(entries)}},
	}
	for i := range entries {
		e := &batch.Apps[0].Entries[i]
		for _, text := range []*string{&e.Process, &e.Release, &e.Pod, &e.Stream, &e.Host, &e.Message} {
			*text = lend(*text)
		}
	}
	s.appendBatch(batch)
	if ok && c.CopiesBatches() {
		for _, b := range lent {
			copy(b, bytes.Repeat([]byte("?"), len(b)))
		}
	}
	others := numbered(51, 100)
	for range 20 {
		s.append("bar", others...)
	}
	s.want(s.all("foo"), 1, entries...)
	// The names of app and writer are those of the batch, too.
	s.appendBatch(sdk.Batch{ID: id, Apps: []sdk.AppEntries{{App: "foo", Entries: entries}}})
	s.want(s.all("foo"), 1, entries...)
}
