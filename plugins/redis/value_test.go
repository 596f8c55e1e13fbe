package redis

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

func examples() []sdk.Entry {
	at := time.Date(2016, 10, 18, 20, 29, 38, 123456000, time.FixedZone("", -8*3600))
	return []sdk.Entry{
		{},
		{Time: at, Message: "hello"},
		{
			Time: at, Published: at.Add(1234567 * time.Nanosecond), Source: sdk.SourceApp, Process: "web", Release: "v2",
			Pod: "foo-web-845861952-nzf60", Stream: "stdout", Host: "10.128.0.17", Message: "hello\nworld", CutBytes: 7,
		},
		{Time: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), Published: at, Source: sdk.SourceController},
		{Time: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), CutBytes: math.MaxUint64, Source: 255},
		{Time: at, Published: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), Pod: strings.Repeat("x", 200)},
	}
}

func same(a, b sdk.Entry) bool {
	_, aOffset := a.Time.Zone()
	_, bOffset := b.Time.Zone()
	if !a.Time.Equal(b.Time) || aOffset != bOffset || !a.Published.Equal(b.Published) {
		return false
	}
	a.Time, a.Published = b.Time, b.Published
	return a == b
}

func TestValueRestoresEveryField(t *testing.T) {
	for _, e := range examples() {
		var got sdk.Entry
		if err := decode(string(appendEntry(nil, &e, nil)), &got, nil); err != nil || !same(got, e) {
			t.Errorf("got %+v (%v), want %+v", got, err, e)
		}
	}
}

// FuzzDecode: whatever Redis has in the place of an entry, decoding it does not
// panic, and what it takes for an entry is one that the contract allows.
func FuzzDecode(f *testing.F) {
	all := examples()
	for i, e := range all {
		value := string(appendEntry(nil, &e, nil))
		f.Add(value, "")
		f.Add(value[:len(value)/2], value)
		next := all[(i+1)%len(all)]
		next.Process, next.Release, next.Pod, next.Stream, next.Host = e.Process, e.Release, e.Pod, e.Stream, e.Host
		f.Add(string(appendEntry(nil, &next, &e)), value)
	}
	f.Add("", "")
	f.Add("\x03", "")
	f.Add("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "")
	f.Fuzz(func(t *testing.T, value, before string) {
		var prev *sdk.Entry
		if e := new(sdk.Entry); decode(before, e, nil) == nil {
			prev = e
		}
		var e, again sdk.Entry
		if decode(value, &e, prev) != nil {
			return
		}
		if err := e.Valid(); err != nil {
			t.Fatal(err)
		}
		if err := decode(string(appendEntry(nil, &e, prev)), &again, prev); err != nil || !same(again, e) {
			t.Fatalf("%+v comes back as %+v (%v)", e, again, err)
		}
	})
}

// TestDamagedValueKeepsItsPlace: what somebody wrote over one entry is told in its
// place, and changes nothing about the others.
func TestDamagedValueKeepsItsPlace(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	for i := range 5 {
		mustAppend(t, s, batch("w", uint64(i+1), "app", i+1, i+1))
	}
	for _, damage := range []string{"", "2016-10-18 a line of another program", "\x01\xff", "\x02later format", "\x03later format"} {
		server.MustDo("LSET", blocksKey("app"), "4", damage)
		whole := readAll(t, s, "app")
		rest, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: -1, After: whole.Cursor(0)})
		if err != nil {
			t.Fatal(err)
		}
		if len(whole.Entries) != 5 || len(rest.Entries) != 4 || rest.First != 2 {
			t.Fatalf("%d entries, and %d from position %d", len(whole.Entries), len(rest.Entries), rest.First)
		}
		if whole.Entries[2].Message != unreadable || rest.Entries[1].Message != unreadable {
			t.Errorf("%q: got %+v", damage, whole.Entries[2])
		}
		if whole.Entries[1].Message != "2" || whole.Entries[3].Message != "4" {
			t.Errorf("%q: its neighbours are %+v", damage, whole.Entries)
		}
		if _, err := s.Apps(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
