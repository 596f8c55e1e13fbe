package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/sdk"
)

// published returns messages of the app with these publish times, which are also their texts.
func published(app string, from int, times ...time.Time) []sdk.Message {
	messages := make([]sdk.Message, len(times))
	for i, at := range times {
		messages[i] = line(from+i, app, at.Format(time.RFC3339Nano))
		messages[i].Published = at
	}
	return messages
}

// TestBatchesAreInTheOrderOfPublishing shuffles messages over deliveries and apps.
func TestBatchesAreInTheOrderOfPublishing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := map[string][]sdk.Entry{}
	taken := make([]delivery, 10)
	for i := range 2000 {
		e := appEntry{app: fmt.Sprintf("app-%d", random.IntN(7)), entry: sdk.Entry{
			Published: begin.Add(time.Duration(random.IntN(500))), // many of them are equal
			Message:   fmt.Sprint(i),                              // the order of arrival
		}}
		d := &taken[i*len(taken)/2000]
		d.entries = append(d.entries, e)
		want[e.app] = append(want[e.app], e.entry)
	}
	b := group(taken, new([]sdk.Entry))
	if b.Len() != 2000 || len(b.Apps) != len(want) {
		t.Fatalf("%d entries of %d apps, want 2000 of %d", b.Len(), len(b.Apps), len(want))
	}
	for _, a := range b.Apps {
		slices.SortStableFunc(want[a.App], func(a, b sdk.Entry) int { return a.Published.Compare(b.Published) })
		if !slices.Equal(a.Entries, want[a.App]) {
			t.Errorf("%s is not in the order of publishing", a.App)
		}
		if cap(a.Entries) > len(a.Entries) {
			t.Errorf("%s has room for another app's entries", a.App)
		}
	}
}

// TestLateMessagesAreSortedIn delivers what a queue mixes when it reads from memory and disk at
// once.
func TestLateMessagesAreSortedIn(t *testing.T) {
	storage, entered, release := newHeldStorage()
	p, _, _ := start(t, storage)
	first := deliver(t, p, line(0, "a", "the first"))
	<-entered // what follows is one batch
	now := p.opts.Now()
	ago := func(seconds ...int) (times []time.Time) {
		for _, s := range seconds {
			times = append(times, now.Add(-time.Duration(s)*time.Second))
		}
		return times
	}
	second := deliver(t, p, published("a", 10, ago(1, 50, 2)...)...)
	third := deliver(t, p, published("a", 20, ago(49, 0, 60)...)...)
	close(release)
	for _, r := range []*sdk.Receipt{first, second, third} {
		await(t, r)
	}
	want := []string{"the first"}
	for _, at := range ago(60, 50, 49, 2, 1, 0) {
		want = append(want, at.Format(time.RFC3339Nano))
	}
	if got := storage.texts("a"); !slices.Equal(got, want) {
		t.Errorf("stored as %q, want %q", got, want)
	}
}

// TestPublishedIsAlwaysSet: each entry has a publish time that is not in the future. Otherwise the
// entries of a clock that is ahead would stay the newest until that time.
func TestPublishedIsAlwaysSet(t *testing.T) {
	const years = 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		published, want time.Duration // relative to the arrival
		unknown         bool
	}{
		"not said":         {unknown: true},
		"just now":         {},
		"a nanosecond ago": {published: -1, want: -1},
		"a minute ago":     {published: -time.Minute, want: -time.Minute},
		"30 years ago":     {published: -30 * years, want: -30 * years},
		"a nanosecond on":  {published: 1},
		"a day on":         {published: 24 * time.Hour},
		"30 years on":      {published: 30 * years},
	} {
		t.Run(name, func(t *testing.T) {
			storage := newStorage(nil)
			p, _, _ := start(t, storage)
			arrival := p.opts.Now()
			m := line(1, "a", "x")
			if m.Published = arrival.Add(c.published); c.unknown {
				m.Published = time.Time{}
			}
			await(t, deliver(t, p, m))
			if e := storage.stored("a")[0]; !e.Published.Equal(arrival.Add(c.want)) {
				t.Errorf("published at %s, want %s after the arrival", e.Published, c.want)
			}
		})
	}
}

// TestAClockThatJumpsKeepsTheOrder: entries that arrive while the queue's clock is ahead come
// before those that arrive once it is right again.
func TestAClockThatJumpsKeepsTheOrder(t *testing.T) {
	storage := newStorage(nil)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p, _ := startAt(t, storage, func() time.Time { return now }, prometheus.NewRegistry())
	for i, ahead := range []time.Duration{0, 24 * time.Hour, 0, 30 * 365 * 24 * time.Hour, 0, time.Millisecond, 0} {
		now = now.Add(time.Second)
		m := line(i, "a", fmt.Sprint(i))
		m.Published = now.Add(ahead)
		await(t, deliver(t, p, m))
	}
	entries := storage.stored("a")
	if len(entries) != 7 || !slices.IsSortedFunc(entries, func(a, b sdk.Entry) int { return a.Published.Compare(b.Published) }) {
		t.Errorf("not in the order of arrival: %+v", entries)
	}
}
