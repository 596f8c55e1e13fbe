package v1

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/deis/logger/sdk"
)

// appInfo holds what the API tells of an app.
type appInfo struct {
	App     string     `json:"app"`
	Entries uint64     `json:"entries"`
	Bytes   uint64     `json:"bytes"`
	Oldest  *time.Time `json:"oldest,omitempty"`
	Newest  *time.Time `json:"newest,omitempty"`
	Rates   rates      `json:"rates"`
	Books   books      `json:"books"`
}

// rates holds means over the time since the oldest kept line.
type rates struct {
	Lines float64 `json:"lines_per_second"`
	Bytes float64 `json:"bytes_per_second"`
}

// books balance: stored = kept + evicted. They begin anew when a log is deleted.
type books struct {
	Stored  uint64 `json:"stored"`
	Kept    uint64 `json:"kept"`
	Evicted uint64 `json:"evicted"`
}

// totals count everything that the storage keeps, and kept once: stored = kept + evicted +
// deleted.
type totals struct {
	Apps    uint64     `json:"apps"`
	Entries uint64     `json:"entries"`
	Bytes   uint64     `json:"bytes"`
	Books   totalBooks `json:"books"`
}

type totalBooks struct {
	books
	Deleted uint64 `json:"deleted"`
}

// appsNames are the parameters of a list of apps.
var appsNames = []string{"limit", "after"}

// defaultApps bounds a page of the list if the request sets no limit, and maxApps bounds the limit.
const defaultApps, maxApps = 1000, 10_000

// listing holds a page of apps, and the totals at that time.
type listing struct {
	apps   []sdk.AppInfo
	more   bool // there may be apps after these
	totals sdk.Totals
}

// atOnce bounds the lists that the storage makes at once. More would make none of them faster, and
// hold up everything else that the storage is asked.
const atOnce = 2

var errManyLists = &problem{http.StatusServiceUnavailable, "busy", "too many lists of apps are made at once"}

// list asks the storage for a page, once it is its turn, for which it waits half of its time. The
// page ends early when half of what is left is over. A list of the storage may be shorter than the
// limit although it goes on: only an empty one is the end.
func (v *API) list(ctx context.Context, after string, limit int) (l listing, err error) {
	select {
	case v.lists <- struct{}{}:
		defer func() { <-v.lists }()
	case <-time.After(v.opts.StorageTimeout / 2):
		return l, errManyLists
	}
	end, _ := ctx.Deadline()
	end = end.Add(-time.Until(end) / 2)
	for l.more = true; err == nil && len(l.apps) < limit && (len(l.apps) == 0 || time.Now().Before(end)); {
		var more []sdk.AppInfo
		if more, err = v.opts.Storage.Apps(ctx, after, limit-len(l.apps)); len(more) == 0 {
			l.more = false
			break
		}
		l.apps = append(l.apps, more...)
		after = more[len(more)-1].App
	}
	if err == nil {
		l.totals, err = v.opts.Storage.Totals(ctx)
	}
	return l, err
}

func (v *API) listApps(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, appsNames)
	if err != nil {
		return err
	}
	after, limit := values.Get("after"), defaultApps
	if text := values.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxApps {
			return sdk.Refusef("limit=%.40q: want a whole number from 1 to %d", text, maxApps)
		}
	}
	if after != "" {
		if err := sdk.CheckApp(after); err != nil {
			return sdk.Refusef("after: %v", err)
		}
	}
	l, err := together(r.Context(), v, fmt.Sprint("apps ", limit, " ", after), func(ctx context.Context) (listing, error) {
		return v.list(ctx, after, limit)
	})
	if err != nil {
		return err
	}
	t := &l.totals
	body := struct {
		Apps   []appInfo `json:"apps"`
		Next   string    `json:"next,omitempty"`
		Totals totals    `json:"totals"`
	}{Apps: make([]appInfo, len(l.apps)), Totals: totals{
		Apps: t.Apps, Entries: t.Entries, Bytes: t.Bytes,
		Books: totalBooks{books{t.Stored, t.Entries, t.Evicted}, t.Deleted},
	}}
	now := time.Now()
	for i := range l.apps {
		body.Apps[i] = describe(&l.apps[i], now)
	}
	if l.more {
		body.Next = l.apps[len(l.apps)-1].App
	}
	answerJSON(w, http.StatusOK, body)
	return nil
}

func (v *API) showApp(w http.ResponseWriter, r *http.Request) error {
	app, _, err := asked(r, nil)
	if err != nil {
		return err
	}
	info, err := together(r.Context(), v, "app "+app, func(ctx context.Context) (sdk.AppInfo, error) {
		return v.opts.Storage.App(ctx, app)
	})
	if err != nil {
		return err
	}
	if info.Entries == 0 {
		return appUnknown(app)
	}
	answerJSON(w, http.StatusOK, describe(&info, time.Now()))
	return nil
}

// together asks for all who want to know the same at a time, each of whom waits no longer
// than it likes.
func together[T any](ctx context.Context, v *API, key string, ask func(context.Context) (T, error)) (none T, err error) {
	ctx, cancel := context.WithTimeout(ctx, v.opts.StorageTimeout)
	defer cancel()
	answered := v.asked.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.opts.StorageTimeout)
		defer cancel()
		return ask(ctx)
	})
	select {
	case a := <-answered:
		if a.Err != nil {
			return none, a.Err
		}
		return a.Val.(T), nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

func describe(a *sdk.AppInfo, now time.Time) appInfo {
	info := appInfo{
		App: a.App, Entries: a.Entries, Bytes: a.Bytes,
		Books: books{Stored: a.Last, Kept: a.Entries, Evicted: a.Last - min(a.Entries, a.Last)},
	}
	if !a.Oldest.IsZero() {
		oldest, newest := a.Oldest.UTC(), a.Newest.UTC()
		info.Oldest, info.Newest = &oldest, &newest
		seconds := max(now.Sub(a.Oldest).Seconds(), 1)
		info.Rates = rates{Lines: float64(a.Entries) / seconds, Bytes: float64(a.Bytes) / seconds}
	}
	return info
}
