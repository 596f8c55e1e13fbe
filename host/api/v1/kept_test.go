package v1

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

// TestETag: an answer is not sent again to a client that has it.
func TestETag(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(5)...)
	resp, body := r.ask(http.MethodGet, "/v1/apps/foo/logs?lines=2", "")
	tag := resp.Header.Get("ETag")
	if !strings.HasPrefix(tag, `W/"`) || resp.Header.Get("Cache-Control") != "no-cache" || body == "" {
		t.Fatalf("%v %q", resp.Header, body)
	}
	for path, want := range map[string]int{
		"/v1/apps/foo/logs?lines=2": 304, "/v1/apps/foo/logs?lines=3": 200, "/v1/apps/foo/logs?lines=2&format=ndjson": 200,
		"/v1/apps/bar/logs?lines=2": 404,
	} {
		if resp, body := r.ask(http.MethodGet, path, "", "If-None-Match", tag); resp.StatusCode != want || (body == "") != (want == 304) {
			t.Errorf("%s: %d %q, want %d", path, resp.StatusCode, body, want)
		}
	}
	r.storage.Add("foo", numbered(6)[5:]...)
	if resp, body := r.ask(http.MethodGet, "/v1/apps/foo/logs?lines=2", "", "If-None-Match", tag); resp.StatusCode != 200 || found(body) != "5 6" {
		t.Errorf("after a change: %d %q", resp.StatusCode, body)
	}
	for _, query := range []string{"since=1h", "after=ffffffffffffffff-0"} {
		resp, _ := r.ask(http.MethodGet, "/v1/apps/foo/logs?"+query, "")
		if resp.Header.Get("ETag") != "" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", query, resp.Header)
		}
	}
}

// published returns an entry that the queue received so many seconds after the first one.
func published(seconds int, text string) sdk.Entry {
	at := epochStart.Add(time.Duration(seconds) * time.Second)
	return sdk.Entry{Time: at, Published: at, Container: "web-1", Message: text}
}

// TestLateLines: history is in the order of publishing. A line that arrives later says so if it is
// older than a line already shown.
func TestLateLines(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", published(10, "c"), published(1, "a"), published(5, "b"))
	early := r.tail("/v1/apps/foo/tail?lines=1&format=ndjson")
	if rec := early.record(); rec["message"] != "c" || rec["late"] != nil || rec["container"] != "web-1" || rec["published"] == nil {
		t.Errorf("got %v", rec)
	}
	early.record() // the heartbeat
	l := r.tail("/v1/apps/foo/tail?format=ndjson")
	var cursors []string
	for _, want := range []string{"a", "b", "c"} {
		rec := l.record()
		if rec["message"] != want || rec["late"] != nil {
			t.Errorf("got %v, want %s", rec, want)
		}
		cursors = append(cursors, rec["cursor"].(string))
	}
	l.record() // the heartbeat
	r.storage.Add("foo", published(11, "d"))
	r.storage.Add("foo", published(10, "e"), published(9, "f"), published(11, "g"))
	for _, tail := range []*lines{l, early} {
		for _, want := range []string{"d", "e", "f", "g"} {
			for rec := tail.record(); ; rec = tail.record() {
				if rec["type"] == "heartbeat" {
					continue
				}
				if rec["message"] != want || (rec["late"] == true) != (want == "f") {
					t.Errorf("got %v, want %s", rec, want)
				}
				break
			}
		}
	}
	for i, rest := range []string{"b c d e f g", "c d e f g", "d e f g"} {
		_, body := r.ask(http.MethodGet, "/v1/apps/foo/logs?lines=-1&after="+cursors[i], "")
		var got []string
		for line := range strings.Lines(short(body)) {
			got = append(got, strings.TrimSpace(strings.TrimPrefix(line, "foo: ")))
		}
		if strings.Join(got, " ") != rest {
			t.Errorf("behind %s came %q, want %s", cursors[i], got, rest)
		}
	}
}

// TestListsOfApps: lists come in pages, and wait no longer than their client for a storage that
// hangs.
func TestListsOfApps(t *testing.T) {
	r := newRig(t)
	hang := make(chan struct{})
	close(hang)
	r.storage.Before = func(ctx context.Context, c storagefake.Call) error {
		if c.Method != "Apps" && c.Method != "App" {
			return nil
		}
		select {
		case <-hang:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for i := range 7 {
		r.storage.Add(fmt.Sprint("app-", i), numbered(1)...)
	}
	for path, want := range map[string]string{
		"/v1/apps":                       "0 1 2 3 4 5 6",
		"/v1/apps?limit=3":               "0 1 2 next",
		"/v1/apps?limit=3&after=app-2":   "3 4 5 next",
		"/v1/apps?limit=3&after=app-5":   "6",
		"/v1/apps?limit=3&after=app-9":   "",
		"/v1/apps?limit=10000&after=a":   "0 1 2 3 4 5 6",
		"/v1/apps?limit=7&after=app-1.5": "2 3 4 5 6",
	} {
		_, body := r.ask(http.MethodGet, path, "")
		var got []string
		for i := range 7 {
			if strings.Contains(body, fmt.Sprintf(`"app":"app-%d"`, i)) {
				got = append(got, fmt.Sprint(i))
			}
		}
		if strings.Contains(body, `"next":"app-`+got0(got)+`"`) {
			got = append(got, "next")
		}
		if strings.Join(got, " ") != want || !strings.Contains(body, `"totals":{"apps":7,`) {
			t.Errorf("%s: %q in %s, want %s", path, got, body, want)
		}
	}
	for _, query := range []string{"limit=0", "limit=x", "limit=10001", "after=-", "x=1"} {
		if resp, body := r.ask(http.MethodGet, "/v1/apps?"+query, ""); resp.StatusCode != 400 {
			t.Errorf("%s: %d %s", query, resp.StatusCode, body)
		}
	}
	hang = make(chan struct{})
	began := time.Now()
	ended := make(chan string, 20)
	for i := range cap(ended) {
		path := []string{"/v1/apps", "/v1/apps/app-1"}[i%2]
		go func() {
			resp, body := r.ask(http.MethodGet, path, "")
			ended <- fmt.Sprint(resp.StatusCode, code(body))
		}()
	}
	for range cap(ended) {
		if got := <-ended; got != "503storage_away" {
			t.Error(got)
		}
	}
	if took := time.Since(began); took > 2*r.api.opts.StorageTimeout {
		t.Errorf("it took %s", took)
	}
	if n := len(r.storage.Calls("App")); n > 3 {
		t.Errorf("the storage was asked %d times for one app", n)
	}
	close(hang)
}

// TestListsTakeTurns: however many lists are requested, the storage makes two at a time. Requests
// for which there is no time are told so. A list that takes long ends with a shorter page.
func TestListsTakeTurns(t *testing.T) {
	r := newRig(t)
	for i := range 30 {
		r.storage.Add(fmt.Sprintf("app-%02d", i), numbered(1)...)
	}
	var now, most atomic.Int32
	r.storage.Before = func(_ context.Context, c storagefake.Call) error {
		if c.Method == "Apps" {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(100 * time.Millisecond)
		}
		return nil
	}
	var all sync.WaitGroup
	var listed, busy atomic.Int32
	for i := range 60 {
		all.Go(func() {
			resp, body := r.ask(http.MethodGet, fmt.Sprintf("/v1/apps?limit=5&after=app-%d", i), "")
			switch {
			case resp.StatusCode == 200:
				listed.Add(1)
			case resp.StatusCode == 503 && code(body) == "busy":
				busy.Add(1)
			default:
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	all.Wait()
	if most.Load() > atOnce || listed.Load() < 5 || busy.Load() == 0 {
		t.Errorf("%d lists at once, %d answered, %d refused as busy", most.Load(), listed.Load(), busy.Load())
	}
}

// TestListThatTakesLong: the list ends with a shorter page, after which the next one continues.
func TestListThatTakesLong(t *testing.T) {
	r := newRig(t)
	for i := range 30 {
		r.storage.Add(fmt.Sprintf("app-%02d", i), numbered(1)...)
	}
	r.storage.AppsPage = 2
	r.storage.Before = func(_ context.Context, c storagefake.Call) error {
		if c.Method == "Apps" {
			time.Sleep(150 * time.Millisecond)
		}
		return nil
	}
	var got []string
	pages := 0
	for query := "?limit=1000"; ; pages++ {
		resp, body := r.ask(http.MethodGet, "/v1/apps"+query, "")
		var page struct {
			Apps []struct{ App string }
			Next string
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%d %s: %v", resp.StatusCode, body, err)
		}
		for _, a := range page.Apps {
			got = append(got, a.App)
		}
		if page.Next == "" {
			break
		}
		query = "?limit=1000&after=" + page.Next
	}
	if len(got) != 30 || !slices.IsSorted(got) || pages < 3 {
		t.Errorf("%d pages of %q", pages, got)
	}
}

// got0 returns the last name of a page.
func got0(got []string) string {
	if len(got) == 0 {
		return ""
	}
	return got[len(got)-1]
}

// TestExpensiveExpressions are refused before they use anything.
func TestExpensiveExpressions(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(5)...)
	for _, query := range []string{"include=(x{1000}){10}", "exclude=" + strings.Repeat("a", 2000)} {
		for _, path := range []string{"/v1/apps/foo/logs?", "/v1/apps/foo/tail?"} {
			if resp, body := r.ask(http.MethodGet, path+query, ""); resp.StatusCode != 400 {
				t.Errorf("%s%.30s: %d %s", path, query, resp.StatusCode, body)
			}
		}
	}
}
