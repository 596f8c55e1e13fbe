package plugin

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func TestCheckPage(t *testing.T) {
	at := func(position uint64) sdk.Cursor { return sdk.Cursor{Epoch: 1, Position: position} }
	some := func(positions ...uint64) (entries []sdk.Entry) {
		for _, p := range positions {
			entries = append(entries, sdk.Entry{Position: p})
		}
		return entries
	}
	for name, tc := range map[string]struct {
		opts sdk.ReadOptions
		page sdk.Page
		want string // "" if there is no error
	}{
		"no log":              {sdk.ReadOptions{Limit: 3}, sdk.Page{}, ""},
		"the newest":          {sdk.ReadOptions{Limit: 3}, sdk.Page{Epoch: 1, Last: 9, Entries: some(7, 9, 8)}, ""},
		"all":                 {sdk.ReadOptions{Limit: -1}, sdk.Page{Epoch: 1, Last: 9, Entries: some(7, 9, 8)}, ""},
		"none, with a state":  {sdk.ReadOptions{After: at(4)}, sdk.Page{Epoch: 1, Last: 9, More: true, Next: at(4)}, ""},
		"more to search":      {sdk.ReadOptions{Limit: 3, After: at(4)}, sdk.Page{Epoch: 1, Last: 9, More: true, Next: at(6)}, ""},
		"more of another log": {sdk.ReadOptions{Limit: 3, After: at(4)}, sdk.Page{Epoch: 2, Last: 9, More: true, Next: sdk.Cursor{Epoch: 2, Position: 4}}, ""},
		"none left":           {sdk.ReadOptions{Limit: 3, After: at(9)}, sdk.Page{Epoch: 1, Last: 9, Next: at(9)}, ""},
		"too many":            {sdk.ReadOptions{Limit: 2}, sdk.Page{Epoch: 1, Last: 9, Entries: some(7, 8, 9)}, "3 entries where 2 were asked for"},
		"some where none":     {sdk.ReadOptions{}, sdk.Page{Epoch: 1, Last: 9, Entries: some(7)}, "1 entries where 0 were asked for"},
		"no epoch":            {sdk.ReadOptions{Limit: 2}, sdk.Page{Last: 9, Entries: some(7)}, "without an epoch"},
		"more of no log":      {sdk.ReadOptions{Limit: 2}, sdk.Page{More: true}, "without an epoch"},
		"no position":         {sdk.ReadOptions{Limit: 2}, sdk.Page{Epoch: 1, Last: 9, Entries: some(7, 0)}, "without a position"},
		"more from nowhere":   {sdk.ReadOptions{Limit: 2}, sdk.Page{Epoch: 1, Last: 9, More: true}, "where the read began"},
		"for ever onward":     {sdk.ReadOptions{Limit: 2, After: at(4)}, sdk.Page{Epoch: 1, Last: 9, More: true, Next: at(4)}, "where the read began"},
		"for ever back":       {sdk.ReadOptions{Limit: 2, Before: at(4)}, sdk.Page{Epoch: 1, Last: 9, Entries: some(3), More: true, Next: at(4)}, "where the read began"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, checkPage(&tc.opts, &tc.page), tc.want) })
	}
}

func refused(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Error(err)
	case want != "" && (!errors.Is(err, sdk.ErrContract) || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFollowedPagesThatSayNothing(t *testing.T) {
	end := sdk.Cursor{Epoch: 1, Position: 9}
	f := followed{at: end}
	for range mostIdle {
		refused(t, f.check(&sdk.Page{Epoch: 1, Last: 9, Next: end}), "")
	}
	refused(t, f.check(&sdk.Page{Epoch: 1, Last: 10, Next: sdk.Cursor{Epoch: 1, Position: 10}, Entries: []sdk.Entry{{Position: 10}}}), "")
	var err error
	for n := 0; err == nil && n <= 2*mostIdle; n++ {
		err = f.check(&sdk.Page{Epoch: 1, Last: 10, Next: sdk.Cursor{Epoch: 1, Position: 10}})
	}
	refused(t, err, "say nothing")
	refused(t, f.check(&sdk.Page{Epoch: 1, Entries: []sdk.Entry{{}}}), "without a position")
}

func TestCheckApps(t *testing.T) {
	list := func(names ...string) (apps []sdk.AppInfo) {
		for _, name := range names {
			apps = append(apps, sdk.AppInfo{App: name})
		}
		return apps
	}
	refused(t, checkApps("b", nil), "")
	refused(t, checkApps("b", list("c", "d")), "")
	refused(t, checkApps("b", list("a", "b")), `lists app "b" as one that comes after "b"`)
}

// TestStorageThatAnswersAgainstTheContractIsEnded: nobody gets such an answer.
func TestStorageThatAnswersAgainstTheContractIsEnded(t *testing.T) {
	for app, want := range map[string]string{
		"no-epoch": "without an epoch", "no-position": "without a position", "endless": "where the read began", "too-many": "3 entries where at most 1 may be",
		"32-MiB": "larger than max",
	} {
		t.Run(app, func(t *testing.T) {
			opts := testOptions(t, install(t, sdk.StorageKind, "toy", "liar"), nil)
			opts.CheckTimeout = 10 * time.Second // it must end because of its answer, not of a timeout
			s, _ := supervise(t, opts)
			inst := wait(t, s)
			page, err := NewStorage(s).Read(t.Context(), sdk.ReadOptions{App: app, Limit: 1, After: sdk.Cursor{Epoch: 1, Position: 1}})
			refused(t, err, want)
			if len(page.Entries) > 0 {
				t.Error("it is answered all the same")
			}
			testwait.Within(t, 20*time.Second, "another process", func() bool { i, err := s.Current(); return err == nil && i != inst })
		})
	}
}

// TestStorageThatHangsEachReadIsDegraded although it answers its checks.
func TestStorageThatHangsEachReadIsDegraded(t *testing.T) {
	s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "liar"), nil))
	inst := wait(t, s)
	readAll := func(filter sdk.Filter) {
		ctx, cancel := context.WithTimeout(t.Context(), hungCall+100*time.Millisecond)
		defer cancel()
		var reading sync.WaitGroup
		for range sickCalls {
			reading.Go(func() {
				if _, err := NewStorage(s).Read(ctx, sdk.ReadOptions{App: "hangs", Limit: 1, Filter: filter}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		}
		reading.Wait()
	}
	readAll(sdk.Filter{Include: []string{"x"}}) // may take long because of a client's filter
	if status := s.Status(); status.State != Ready {
		t.Errorf("searches that take too long: %+v", status)
	}
	readAll(sdk.Filter{})
	status := s.Status()
	if status.State != Degraded || !strings.HasPrefix(status.Reason, "its reads fail: ") || isGone(inst) {
		t.Errorf("got %+v", status)
	}
}

// TestFullStorageIsDegraded although its check finds nothing: failed appends count. It is ready
// again with the first append that succeeds.
func TestFullStorageIsDegraded(t *testing.T) {
	s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "liar"), nil))
	wait(t, s)
	storage := NewStorage(s)
	for range sickCalls {
		if err := storage.Append(t.Context(), toyBatch("full")); !errors.Is(err, sdk.ErrFull) {
			t.Fatal(err)
		}
	}
	s.is(t, "after appends that failed", Degraded, "its appends fail: no room: full")
	if !storage.Ready() {
		t.Error("its check failed")
	}
	if err := storage.Append(t.Context(), toyBatch("fine")); err != nil {
		t.Fatal(err)
	}
	s.is(t, "after one that did not", Ready, "")
}
