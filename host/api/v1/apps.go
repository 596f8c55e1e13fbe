package v1

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// appInfo is what the API tells of an app.
type appInfo struct {
	App     string     `json:"app"`
	Entries uint64     `json:"entries"`
	Bytes   uint64     `json:"bytes"`
	Oldest  *time.Time `json:"oldest,omitempty"`
	Newest  *time.Time `json:"newest,omitempty"`
	Rates   rates      `json:"rates"`
	Books   books      `json:"books"`
}

// rates are means over the time since the oldest line that is kept.
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

type totals struct {
	Apps    int    `json:"apps"`
	Entries uint64 `json:"entries"`
	Bytes   uint64 `json:"bytes"`
	Books   books  `json:"books"`
}

// listing is the newest list of all apps, which is work for a storage: it is asked for
// at most once at a time, and not more often than every listEvery.
type listing struct {
	mu   sync.Mutex
	at   time.Time
	apps []sdk.AppInfo
}

const listEvery = time.Second

func (v *API) list(ctx context.Context) ([]sdk.AppInfo, error) {
	v.listing.mu.Lock()
	defer v.listing.mu.Unlock()
	if time.Since(v.listing.at) < listEvery {
		return v.listing.apps, nil
	}
	ctx, cancel := context.WithTimeout(ctx, v.opts.StorageTimeout)
	defer cancel()
	apps, err := v.opts.Storage.Apps(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(apps, func(a, b sdk.AppInfo) int { return cmp.Compare(a.App, b.App) })
	v.listing.at, v.listing.apps = time.Now(), apps
	return apps, nil
}

func (v *API) listApps(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r, nil); err != nil {
		return err
	}
	apps, err := v.list(r.Context())
	if err != nil {
		return err
	}
	body := struct {
		Apps   []appInfo `json:"apps"`
		Totals totals    `json:"totals"`
	}{Apps: make([]appInfo, len(apps))}
	now := time.Now()
	for i := range apps {
		info := describe(&apps[i], now)
		body.Apps[i] = info
		t := &body.Totals
		t.Apps++
		t.Entries += info.Entries
		t.Bytes += info.Bytes
		t.Books.Stored += info.Books.Stored
		t.Books.Kept += info.Books.Kept
		t.Books.Evicted += info.Books.Evicted
	}
	answerJSON(w, http.StatusOK, body)
	return nil
}

func (v *API) showApp(w http.ResponseWriter, r *http.Request) error {
	app, err := appName(r)
	if err != nil {
		return err
	}
	if _, err := parameters(r, nil); err != nil {
		return err
	}
	apps, err := v.list(r.Context())
	if err != nil {
		return err
	}
	i, ok := slices.BinarySearchFunc(apps, app, func(a sdk.AppInfo, app string) int { return cmp.Compare(a.App, app) })
	if !ok {
		return appUnknown(app)
	}
	answerJSON(w, http.StatusOK, describe(&apps[i], time.Now()))
	return nil
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
