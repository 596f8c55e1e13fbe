package v1

import (
	"context"
	"net/http"
	"strconv"
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

// defaultApps and maxApps are how many apps a page lists.
const defaultApps, maxApps = 1000, 10_000

// listing is a page of apps, and the totals at that time.
type listing struct {
	apps   []sdk.AppInfo
	totals sdk.Totals
}

// page names one.
type page struct {
	after string
	limit int
}

// list asks the storage for a page. The list may be shorter than the limit although it goes
// on: only an empty one is the end.
func (v *API) list(ctx context.Context, p page) (l listing, err error) {
	for err == nil && len(l.apps) < p.limit {
		var more []sdk.AppInfo
		if more, err = v.opts.Storage.Apps(ctx, p.after, p.limit-len(l.apps)); len(more) == 0 {
			break
		}
		l.apps = append(l.apps, more...)
		p.after = more[len(more)-1].App
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
	p := page{after: values.Get("after"), limit: defaultApps}
	if text := values.Get("limit"); text != "" {
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 || p.limit > maxApps {
			return sdk.Refusef("limit=%.40q: want a whole number from 1 to %d", text, maxApps)
		}
	}
	if p.after != "" {
		if err := sdk.CheckApp(p.after); err != nil {
			return sdk.Refusef("after: %v", err)
		}
	}
	l, err := v.lists.get(r.Context(), v.opts.StorageTimeout, p, v.list)
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
	if len(l.apps) == p.limit {
		body.Next = l.apps[p.limit-1].App
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
	info, err := v.infos.get(r.Context(), v.opts.StorageTimeout, app, v.opts.Storage.App)
	if err != nil {
		return err
	}
	if info.Entries == 0 {
		return appUnknown(app)
	}
	answerJSON(w, http.StatusOK, describe(&info, time.Now()))
	return nil
}

// shared lets all who ask the same at a time share one question, each with the patience
// that it has.
type shared[K comparable, T any] struct {
	mu    sync.Mutex
	asked map[K]*sharedAnswer[T]
}

type sharedAnswer[T any] struct {
	done  chan struct{} // closed when the rest is there
	value T
	err   error
}

// get asks, within the timeout, unless somebody is just asking.
func (s *shared[K, T]) get(ctx context.Context, timeout time.Duration, key K, ask func(context.Context, K) (T, error)) (none T, err error) {
	s.mu.Lock()
	a := s.asked[key]
	if a == nil {
		a = &sharedAnswer[T]{done: make(chan struct{})}
		if s.asked == nil {
			s.asked = map[K]*sharedAnswer[T]{}
		}
		s.asked[key] = a
		go func() { // ends within the timeout
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
			defer cancel()
			a.value, a.err = ask(ctx, key)
			s.mu.Lock()
			delete(s.asked, key)
			s.mu.Unlock()
			close(a.done)
		}()
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-a.done:
		return a.value, a.err
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
