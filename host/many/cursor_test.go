package many

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// somePlaces has places of every form.
var somePlaces = []read.Place{
	{Cursor: sdk.Cursor{Epoch: 1}},
	{Cursor: sdk.Cursor{Epoch: 1 << 63, Position: 127}},
	{Cursor: sdk.Cursor{Epoch: 7, Position: 128}, N: 3},
	{Cursor: sdk.Cursor{Epoch: 7, Position: 1 << 40}.HistoryBegin(), N: 1 << 40},
	{Cursor: sdk.Cursor{Epoch: 7, Position: 9, Published: 1_700_000_000_000_000_000, Entry: 4}, N: 5, Of: 77},
	{Cursor: sdk.Cursor{Epoch: 7, Position: 9, Published: -1, Entry: 4}, Open: "3.12"},
	{Cursor: sdk.Cursor{Epoch: 7, Position: 9}, Open: "8"},
}

// TestCursorIsWhatWasSet compares a cursor that changes at random with a map, and its text with
// that of a cursor that is made at once.
func TestCursorIsWhatWasSet(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var c Cursor
	want := map[string]read.Place{}
	for range 5000 {
		app := fmt.Sprintf("%s%d", []string{"a", "shop-", "a-long-name-that-others-share-"}[random.IntN(3)], random.IntN(20))
		if place := somePlaces[random.IntN(len(somePlaces))]; random.IntN(3) > 0 {
			place.Position += random.Uint64N(3)
			c.Set(app, place)
			want[app] = place
		} else {
			c.Set(app, read.Place{Cursor: sdk.Beginning()})
			delete(want, app)
		}
		var fresh Cursor
		for app, place := range want {
			fresh.Set(app, place)
		}
		if c.String() != fresh.String() || c.Len() != len(want) {
			t.Fatalf("after %s: %q, want %q", app, c.String(), fresh.String())
		}
		read, err := ParseCursor(c.String())
		if err != nil || read.String() != c.String() {
			t.Fatalf("%q reads back as %q, %v", c.String(), read.String(), err)
		}
		for app, place := range want {
			if read.Place(app) != place {
				t.Fatalf("%s is at %v, want %v", app, read.Place(app), place)
			}
		}
		if !read.Place("other").IsZero() {
			t.Fatal("it knows an app that was not set")
		}
	}
}

// TestHostileCursors: only texts that were given out are accepted, and none takes long to check.
func TestHostileCursors(t *testing.T) {
	var c Cursor
	c.Set("foo", somePlaces[4])
	c.Set("foo-bar", somePlaces[5])
	good := c.String()
	raw, err := base64.RawURLEncoding.DecodeString(good[head:])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseCursor(good); err != nil {
		t.Fatal(err)
	}
	refused := func(text string) {
		t.Helper()
		if c, err := ParseCursor(text); !errors.Is(err, sdk.ErrInvalid) {
			t.Errorf("%q is taken for %+v, %v", text, c.parts, err)
		}
	}
	for _, text := range []string{"", "0000000000000007-9", "M", "m", "m0", "mm", "m01", "m=", "m====", "m00AAAA", "m0A", good + "A", good + "AAAA", good[:len(good)-4], "n" + good[1:], " " + good, good + "\n", good + ",", good + ",foo", good + ",foo=", good + ",=7-1", good + ",a b=0000000000000007-1", good + ",foo=m00", good + ",foo=0000000000000007-1:2", good + ",foo=0000000000000007-1,", "foo=0000000000000007-1", strings.Repeat("m", maxText+1)} {
		refused(text)
	}
	for i := range raw {
		for bit := range 8 {
			changed := append([]byte(nil), raw...)
			changed[i] ^= 1 << bit
			text := good[:head] + base64.RawURLEncoding.EncodeToString(changed)
			if c, err := ParseCursor(text); err == nil && c.String() != text {
				t.Errorf("%q is taken, whose text is %q", text, c.String())
			}
		}
	}
	for n := range good {
		refused(good[:n])
	}
	var pairs strings.Builder
	for n := range MaxApps + 1 {
		fmt.Fprintf(&pairs, ",app-%03d=0000000000000007-1", n)
	}
	refused("m00" + pairs.String())
	var many Cursor
	for i := range MaxApps + 1 {
		many.Set(fmt.Sprintf("app-%03d", i), somePlaces[0])
	}
	refused(many.String())
}

// TestPlacesBehindACursor: places that follow a cursor have the same effect as if they had been
// set.
func TestPlacesBehindACursor(t *testing.T) {
	var c Cursor
	c.Set("foo", somePlaces[4])
	c.Set("gone", somePlaces[2])
	text := c.String()
	for i, p := range somePlaces {
		text += ",foo=" + somePlaces[0].String() + fmt.Sprintf(",app-%d=%s", i, p)
		c.Set(fmt.Sprintf("app-%d", i), p)
	}
	text += ",gone=" + sdk.Beginning().String()
	c.Set("foo", somePlaces[0])
	c.Set("gone", read.Place{Cursor: sdk.Beginning()})
	got, err := ParseCursor(text)
	if err != nil || got.String() != c.String() {
		t.Errorf("%q is %q, %v, want %q", text, got.String(), err, c.String())
	}
	if got, err := ParseCursor("m00,foo=" + somePlaces[4].String()); err != nil || got.Place("foo") != somePlaces[4] {
		t.Errorf("%v, %v", got, err)
	}
}

// TestLongestCursor: the cursor of as many apps as allowed, with the longest names and places, is
// accepted.
func TestLongestCursor(t *testing.T) {
	open := make([]string, 64)
	for i := range open {
		open[i] = fmt.Sprint(1<<40 + i)
	}
	var c Cursor
	text := "m00"
	for i := range MaxApps {
		app := fmt.Sprintf("%s-%03d", strings.Repeat("x", 249), i)
		place := read.Place{
			Cursor: sdk.Cursor{Epoch: 1 << 63, Position: 1 << 40, Published: 1_700_000_000_000_000_000, Entry: 1 << 40}, N: 1 << 40, Of: 1 << 31, Open: strings.Join(open, "."),
		}
		c.Set(app, place)
		text += "," + app + "=" + place.String()
	}
	text = c.String() + text[len("m00"):]
	for _, text := range []string{c.String(), text} {
		if got, err := ParseCursor(text); err != nil || got.String() != c.String() {
			t.Errorf("of %d bytes: %v", len(text), err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	var c Cursor
	for i, p := range somePlaces {
		c.Set(fmt.Sprintf("app-%d", i), p)
		f.Add(c.String())
	}
	f.Add("m00")
	f.Add("m00,foo=0000000000000007-1~3,foo-bar=ffffffffffffffff-0")
	f.Add("m01AANmb28AAAAAAAAAAQAA")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCursor(text)
		switch {
		case err != nil && !errors.Is(err, sdk.ErrInvalid):
			t.Errorf("%q: %v", text, err)
		case err == nil && !strings.Contains(text, ",") && c.String() != text:
			t.Errorf("%q is taken, whose text is %q", text, c.String())
		case err == nil && c.Len() > MaxApps:
			t.Errorf("%q has %d apps", text, c.Len())
		case err == nil: // a cursor with places after it may have a shorter text that means the same
			if again, err := ParseCursor(c.String()); err != nil || again.String() != c.String() {
				t.Errorf("%q is %q, whose text is %q (%v)", text, c.String(), again.String(), err)
			}
		}
		for _, app := range c.Apps() {
			if c.Place(app).IsZero() || sdk.CheckApp(app) != nil {
				t.Errorf("%q has %q at %v", text, app, c.Place(app))
			}
		}
	})
}

// BenchmarkCursor changes one place of 100 and appends the text.
func BenchmarkCursor(b *testing.B) {
	var c Cursor
	for i := range 100 {
		c.Set(fmt.Sprintf("%x-app", i*7919), read.Place{Cursor: sdk.Cursor{Epoch: 0xfedcba9876543210, Position: 100_000}})
	}
	b.ReportMetric(float64(len(c.String())), "bytes")
	var text []byte
	b.ReportAllocs()
	for n := uint64(100_000); b.Loop(); n++ {
		c.Set("1eef-app", read.Place{Cursor: sdk.Cursor{Epoch: 0xfedcba9876543210, Position: n}})
		text = c.AppendText(text[:0])
	}
}
