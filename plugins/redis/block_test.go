package redis

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

func examples() []sdk.Entry {
	at := time.Date(2016, 10, 18, 20, 29, 38, 123456000, time.FixedZone("", -8*3600))
	return []sdk.Entry{
		{Time: at, Published: at, Message: "hello"},
		{
			Time: at, Published: at.Add(1234567 * time.Nanosecond), Source: sdk.SourceApp, Process: "web", Release: "v2",
			Pod: "foo-web-845861952-nzf60", Container: "foo-web", Stream: "stdout", Host: "10.128.0.17", Message: "hello\nworld", CutBytes: 7,
		},
		{
			Time: at, Published: at.Add(time.Second), Source: sdk.SourceApp, Process: "web", Release: "v2",
			Pod: "foo-web-845861952-nzf60", Container: "foo-web", Stream: "stdout", Host: "10.128.0.17", Partial: true, Level: sdk.LevelInfo,
		},
		{Time: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), Published: at.Add(time.Second), Source: sdk.SourceController},
		{Time: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), Published: at.Add(time.Second), CutBytes: math.MaxUint64, Source: 255, Partial: true, Level: sdk.LevelFatal},
		{Time: at, Published: at.Add(2 * time.Second), Pod: strings.Repeat("x", 200), Message: strings.Repeat("m", 20_000)},
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

// keptOf returns the block as Redis would have it.
func keptOf(b *block) kept {
	return kept{data: string(b.data), entries: b.entries, last: uint64(9 + b.entries)}
}

// TestBlockRestoresEveryField encodes blocks of any size. Every entry comes back once, with all its
// fields.
func TestBlockRestoresEveryField(t *testing.T) {
	all := examples()
	for most := 1; most <= len(all)+1; most++ {
		for left, blocks := all, 0; len(left) > 0; blocks++ {
			b, _, _ := encode(nil, nil, left, most)
			if b.entries < 1 || b.entries > most {
				t.Fatalf("%d entries, want at most %d", b.entries, most)
			}
			one := keptOf(&b)
			for i, got := range one.decode(nil) {
				want := left[i]
				want.Position = uint64(10 + i)
				if !same(got, want) {
					t.Errorf("got %+v, want %+v", got, want)
				}
			}
			left = left[b.entries:]
		}
	}
	if b, _, _ := encode(nil, nil, []sdk.Entry{all[0], {Published: all[0].Published.Add(time.Minute)}}, 10); b.entries != 1 {
		t.Errorf("a block of %d entries that are a minute apart", b.entries)
	}
}

// FuzzBlock: whatever bytes Redis has in place of a block, decoding does not panic, and every
// decoded entry is one that the contract allows.
func FuzzBlock(f *testing.F) {
	all := examples()
	b, _, raw := encode(nil, nil, all, len(all))
	f.Add(string(b.data), len(all))
	f.Add(string(raw), len(all))
	f.Add(string(raw[:len(raw)/2]), len(all))
	f.Add("\xff\xff\xff\xff\x0f", 1) // claims to have 4 GiB
	f.Add("", 1)
	f.Add("\x03later format", 2)
	f.Add("\x0c\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 1)
	f.Fuzz(func(t *testing.T, data string, n int) {
		n = 1 + (n&0x7fffffff)%100
		for _, data := range []string{data, string(snappy.Encode(nil, []byte(data)))} {
			one := kept{data: data, entries: n, last: uint64(n)}
			entries := one.decode(nil)
			if len(entries) != n {
				t.Fatalf("%d entries, want %d", len(entries), n)
			}
			for i := range entries {
				if err := entries[i].Valid(); err != nil || entries[i].Position != uint64(i+1) {
					t.Fatalf("%+v: %v", entries[i], err)
				}
			}
		}
	})
}

// TestDamagedBlockKeepsItsPlaces: someone overwrote some entries. That is reported in their places,
// and does not change the others.
func TestDamagedBlockKeepsItsPlaces(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	for i := range 3 {
		b := batch("w", uint64(i+1), "app", 2*i+1, 2*i+2)
		b.Apps[0].Entries[1].Published = b.Apps[0].Entries[0].Published // puts both into one block
		mustAppend(t, s, b)
	}
	element := s.client.XRange(t.Context(), blocksKey("app"), "4-0", "4-0").Val()[0]
	for numbers := range element.Values {
		blocks := s.client.XRange(t.Context(), blocksKey("app"), "-", "+").Val()
		server.MustDo("DEL", blocksKey("app"))
		for _, e := range blocks {
			for name, data := range e.Values {
				if name == numbers {
					data = "2016-10-18 a line of another program"
				}
				server.MustDo("XADD", blocksKey("app"), e.ID, name, data.(string))
			}
		}
	}
	page := readAll(t, s, "app")
	for i, want := range []string{"1", "2", unreadable, unreadable, "5", "6"} {
		if e := page.Entries[i]; e.Message != want || e.Position != uint64(i+1) {
			t.Errorf("entry %d is %+v, want %q", i, e, want)
		}
	}
	if _, err := s.Apps(t.Context(), "", 0); err != nil {
		t.Error(err)
	}
	mustAppend(t, s, batch("w", 9, "app", 7, 8))
	if n := len(readAll(t, s, "app").Entries); n != 8 {
		t.Errorf("%d entries, want 8", n)
	}
}

// TestBlocksAreCompressed: Redis holds fewer bytes than the lines have, and the plugin counts those
// of the lines.
func TestBlocksAreCompressed(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	b := batch("w", 1, "app", 1, 1000)
	for i := range b.Apps[0].Entries {
		b.Apps[0].Entries[i].Published = time.Unix(1000, int64(i)).UTC()
		b.Apps[0].Entries[i].Message = fmt.Sprintf("10.164.1.%d - GET /items/%d HTTP/1.1 200 5120 Mozilla/5.0 (X11; Linux x86_64)", i%256, i)
	}
	mustAppend(t, s, b)
	raw := 0
	for i := range b.Apps[0].Entries {
		raw += len(b.Apps[0].Entries[i].Message)
	}
	stored := 0
	for _, element := range s.client.XRange(t.Context(), blocksKey("app"), "-", "+").Val() {
		for _, data := range element.Values {
			stored += len(data.(string))
		}
	}
	info, err := s.App(t.Context(), "app")
	if err != nil || stored > raw/2 || info.Bytes < uint64(raw) {
		t.Errorf("%d bytes of lines are %d bytes in Redis and count as %d (%v)", raw, stored, info.Bytes, err)
	}
}
