package histogram

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deis/logger/host/many"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/host/scan"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestQuery(t *testing.T) {
	at := noon.Add
	for _, tc := range []struct {
		since, until time.Time
		step         time.Duration
		want         string // step and number of buckets, or part of the error
	}{
		{want: "1m30s 41"}, // the hour until now
		{since: at(-time.Minute), want: "2s 31"},
		{since: at(-59 * time.Second), want: "1s 60"},
		{since: at(-10 * time.Minute), want: "15s 41"},
		{since: at(-24 * time.Hour), want: "30m 49"},
		{since: at(-60 * day), want: "48h 31"},
		{since: at(-365 * day), want: "168h 53"},
		{since: noon, until: noon, want: "1s 1"},
		{until: at(-time.Hour), want: "1m30s 41"},
		{since: at(-time.Hour), step: time.Hour, want: "1h 2"},
		{since: at(-999 * time.Second), step: time.Second, want: "1s 1000"},
		{since: at(-1000 * time.Second), step: time.Second, want: "more than 1000 buckets"},
		{since: at(-time.Hour), step: time.Millisecond, want: "step=1ms: more than 1000 buckets"},
		{since: at(-99 * 365 * day), step: 1, want: "more than 1000 buckets"},
		{since: at(-time.Hour), step: 1<<63 - 1, want: "2562047h47m16.854775807s 1"},
		{since: at(time.Second), want: "until is before since"},
		{since: time.Unix(0, 0), until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), want: "more than 100 years"},
		{since: noon, until: at(time.Hour), step: -1, want: "want more than 0"},
	} {
		q, err := NewQuery(sdk.Filter{Since: tc.since, Until: tc.until}, tc.step, noon)
		var got string
		if err == nil {
			got = fmt.Sprint(q.StepText(), " ", q.buckets())
		} else if got = err.Error(); !errors.Is(err, sdk.ErrInvalid) {
			t.Errorf("%v is no ErrInvalid", err)
		}
		if err == nil && got != tc.want || !strings.Contains(got, tc.want) {
			t.Errorf("%s to %s by %s: %q, want %q", tc.since, tc.until, tc.step, got, tc.want)
		}
	}
}

func TestCount(t *testing.T) {
	storage := &storagefake.Storage{}
	for i, app := range []string{"foo", "bar"} {
		for second := range 100 {
			e := sdk.Entry{Time: noon.Add(time.Duration(second) * time.Second), Process: "web", Message: fmt.Sprint("n=", second)}
			if second%10 == i {
				e.Level, e.Process = sdk.LevelError, "worker"
			}
			storage.Add(app, e)
		}
	}
	s := scan.New(read.New(read.Options{Storage: storage, Timeout: time.Second}))
	count := func(step time.Duration, f sdk.Filter, apps ...string) string {
		q, err := NewQuery(f, step, noon)
		if err != nil {
			t.Fatal(err)
		}
		buckets, err := q.Count(t.Context(), s, apps)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, b := range buckets {
			all = append(all, fmt.Sprint(b.Time.Format("15:04:05"), " ", b.Total, " ", b.Levels))
		}
		return strings.Join(all, "\n")
	}
	window := sdk.Filter{Since: noon.Add(5 * time.Second), Until: noon.Add(95 * time.Second)}
	if got, want := count(time.Minute, window, "foo"), "12:00:00 55 map[error:5 unknown:50]\n12:01:00 36 map[error:4 unknown:32]"; got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if got, want := count(time.Minute, window, "foo", "bar", "nobody"), "12:00:00 110 map[error:10 unknown:100]\n12:01:00 72 map[error:8 unknown:64]"; got != want {
		t.Errorf("of two: got\n%s, want\n%s", got, want)
	}
	if s.Logs() != 3 { // nobody has none
		t.Errorf("%d logs", s.Logs())
	}
	window.Level = sdk.LevelWarn
	if got, want := count(30*time.Second, window, "foo"), "12:00:00 2 map[error:2]\n12:00:30 3 map[error:3]\n12:01:00 3 map[error:3]\n12:01:30 1 map[error:1]"; got != want {
		t.Errorf("of errors: got\n%s, want\n%s", got, want)
	}
	window.Include = []string{"=(7|90)$"}
	window.Level = sdk.LevelUnknown
	if got, want := count(30*time.Second, window, "foo"), "12:00:00 1 map[unknown:1]\n12:01:30 1 map[error:1]"; got != want {
		t.Errorf("with empty buckets left out: got\n%s, want\n%s", got, want)
	}
}

func selection(t *testing.T, names ...string) *many.Selection {
	t.Helper()
	s, err := many.ParseSelection(names)
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestApps(t *testing.T) {
	storage := &storagefake.Storage{AppsPage: 2}
	for _, app := range []string{"bar", "foo", "shop-api", "shop-web", "workshop-1"} {
		storage.Add(app, sdk.Entry{Time: noon, Published: noon})
	}
	for _, tc := range []struct {
		names []string
		since time.Time
		want  string
	}{
		{[]string{"foo"}, time.Time{}, "foo"},
		{[]string{"foo", "nobody", "foo"}, time.Time{}, "foo nobody"},
		{[]string{"*"}, time.Time{}, "bar foo shop-api shop-web workshop-1"},
		{[]string{"shop-*", "foo", "shop-web"}, time.Time{}, "foo shop-api shop-web"},
		{[]string{"*shop*"}, time.Time{}, "shop-api shop-web workshop-1"},
		{[]string{"s*-*p*i"}, time.Time{}, "shop-api"},
		{[]string{"f*oo*o", "nobody*"}, time.Time{}, ""},
		{[]string{"*"}, noon.Add(9 * time.Second), "bar foo shop-api shop-web workshop-1"},
		{[]string{"*"}, noon.Add(time.Minute), ""},
	} {
		apps, err := Apps(t.Context(), storage, selection(t, tc.names...), tc.since)
		if got := strings.Join(apps, " "); err != nil || got != tc.want {
			t.Errorf("%q since %s: %q, %v, want %q", tc.names, tc.since, got, err, tc.want)
		}
	}
	asked := len(storage.Calls("Apps"))
	if _, err := Apps(t.Context(), storage, selection(t, "a", "b"), noon); err != nil || len(storage.Calls("Apps")) != asked {
		t.Errorf("names alone were listed: %v", err)
	}
}
