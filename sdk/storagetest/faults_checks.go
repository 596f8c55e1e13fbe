package storagetest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

// stored appends the batch as a host does: again and again until it is acknowledged.
func (p *patient) stored(batch sdk.Batch) {
	p.Helper()
	var err error
	for end := time.Now().Add(p.waits.patience()); time.Now().Before(end) && p.Context().Err() == nil; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(p.Context(), callTime)
		err = p.storage.Append(ctx, batch)
		cancel()
		switch {
		case err == nil:
			return
		case errors.Is(err, sdk.ErrInvalid):
			p.Fatalf("Append refuses a batch that is repeated, for good: %v", err)
		}
	}
	p.Fatalf("the backend is back, and a batch is not stored within %s: %v", patience, err)
}

// faultErrors: while the backend is away each call ends by its deadline, with an error after which
// the call may be repeated, or with a true answer. Afterwards what was stored is there, once.
func faultErrors(p *patient) {
	p.append("foo", numbered(1, 10)...)
	p.append("bar", numbered(1, 3)...)
	batch := one(p.next(), "foo", numbered(11, 15))
	back := p.away()
	calls := map[string]func(ctx context.Context) error{
		"Append": func(ctx context.Context) error { return p.storage.Append(ctx, batch) },
		"Read": func(ctx context.Context) error {
			page, err := p.page(ctx, sdk.ReadOptions{App: "foo", Limit: -1})
			if err == nil && page.Last < 10 {
				p.Errorf("Read answers %d of 10 entries and no error, while the backend is %s", page.Last, p.adverb)
			}
			return err
		},
		"Delete": func(ctx context.Context) error { return p.storage.Delete(ctx, "bar") },
	}
	if v, ok := p.storage.(sdk.Versioner); ok {
		calls["Versions"] = func(ctx context.Context) error {
			_, err := v.Versions(ctx, []string{"foo"})
			return err
		}
	}
	if l, ok := p.storage.(sdk.AppLister); ok {
		calls["Apps"] = func(ctx context.Context) error {
			_, err := l.Apps(ctx, "", 10)
			return err
		}
		calls["Totals"] = func(ctx context.Context) error {
			_, err := l.Totals(ctx)
			return err
		}
	}
	type outcome struct {
		call string
		err  error
	}
	outcomes := make(chan outcome, len(calls))
	for what, f := range calls {
		go func() { outcomes <- outcome{what, p.bounded(what, callTime, f)} }()
	}
	got := map[string]error{}
	for range calls {
		o := <-outcomes
		got[o.call] = o.err
		if errors.Is(o.err, sdk.ErrInvalid) || errors.Is(o.err, sdk.ErrPanic) || errors.Is(o.err, sdk.ErrContract) ||
			errors.Is(o.err, sdk.ErrUnsupported) && (o.call == "Append" || o.call == "Read" || o.call == "Delete") {
			p.Errorf("%s while the backend is %s: %v: want sdk.ErrUnavailable, after which it is tried again", o.call, p.adverb, o.err)
		}
	}
	back()
	p.stored(one(p.next(), "after", numbered(1, 1))) // it works again
	if got["Append"] == nil {
		p.wantKept("foo", 15, numbered(1, 15)...) // it was acknowledged
	}
	p.stored(batch)
	p.wantKept("foo", 15, numbered(1, 15)...)
	if got["Delete"] == nil {
		p.wantKept("bar", 0)
	}
	p.endsAway()
}

// endsAway: when a process whose backend is away is told to end, it finishes its calls: none hangs.
func (p *patient) endsAway() {
	p.Helper()
	if p.another == nil {
		return
	}
	storage, shutDown := p.another()
	back := p.away()
	batch := one(p.next(), "foo", numbered(16, 16))
	_ = p.bounded("Append", callTime/5, func(ctx context.Context) error { return storage.Append(ctx, batch) })
	ctx, cancel := context.WithTimeout(p.Context(), shutdownTime)
	defer cancel()
	if err := shutDown(ctx); err != nil {
		p.Errorf("Shutdown while the backend is %s, after all deadlines: %v: a call, or Close, goes on", p.adverb, err)
	}
	back()
}

// faultCheck: Check tells in time that the backend is away, and that it is back.
func faultCheck(p *patient) {
	if p.check == nil {
		p.Skipf("left out: no Check")
	}
	ask := func() error {
		return p.bounded("Check", checkTime, func(ctx context.Context) error {
			err := p.check(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				p.Fatalf("Check does not answer within %s while the backend is %s: a host would end the process", checkTime, p.adverb)
			}
			return err
		})
	}
	until := func(what string, patience time.Duration, ok func(error) bool) {
		p.Helper()
		var err error
		for end := time.Now().Add(patience); time.Now().Before(end) && !p.Failed(); time.Sleep(20 * time.Millisecond) {
			if err = ask(); ok(err) {
				return
			}
		}
		switch {
		case p.Failed():
		case err == nil:
			p.Fatalf("%s, and after %s Check still says that all is well", what, patience)
		default:
			p.Fatalf("%s, and after %s Check still says: %v", what, patience, err)
		}
	}
	until("nothing is wrong", p.waits.patience(), func(err error) bool { return err == nil })
	back := p.away()
	until("the backend is "+p.adverb, noticeTime, func(err error) bool {
		if err != nil && (err.Error() == "" || strings.ContainsAny(err.Error(), "\r\n")) {
			p.Errorf("Check says %q: want one line", err)
		}
		return err != nil
	})
	back() // which waits until Check says so
}

// faultKeeps: what is acknowledged before the backend goes away, meanwhile and afterwards is read
// once, in its order. At no moment does a read answer less.
func faultKeeps(p *patient) {
	const perBatch, before, after = 3, 20, 20
	apps := []string{"one", "two"}
	number := 0 // of the last line of each app that is acknowledged
	appendOn := func(batches int) {
		for range batches {
			batch := sdk.Batch{ID: p.next()}
			for _, app := range apps {
				batch.Apps = append(batch.Apps, sdk.AppEntries{App: app, Entries: numbered(number+1, number+perBatch)})
			}
			p.stored(batch)
			number += perBatch
			for _, app := range apps {
				ctx, cancel := context.WithTimeout(p.Context(), callTime)
				page, err := p.page(ctx, sdk.ReadOptions{App: app, Limit: 1})
				cancel()
				if err == nil && page.Last < uint64(number) {
					p.Fatalf("%q has %d lines that were acknowledged, and a read answers %d", app, number, page.Last)
				}
			}
		}
	}
	appendOn(before)
	back := p.away()
	mended := make(chan struct{})
	time.AfterFunc(awayTime, func() {
		defer close(mended)
		back()
	})
	defer func() { <-mended }()
	appendOn(after)
	<-mended
	appendOn(1)
	for _, app := range apps {
		p.wantKept(app, number, numbered(1, number)...)
		p.want(p.arrivals(app), numbered(1, number)...)
	}
}

// faultFollow: a host begins a follow again where it ended. Once the backend is back, that follow
// gets what comes, each line once.
func faultFollow(p *patient) {
	p.without(p.follows(), "Follow")
	p.append("foo", numbered(1, 5)...)
	ctx, cancel := context.WithCancel(p.Context())
	seen, ended := make(chan sdk.Entry, 100), make(chan error, 1)
	go func() { // ends with ctx
		at, gone := sdk.Beginning(), uint64(0)
		for ctx.Err() == nil {
			_ = p.storage.(sdk.Follower).Follow(ctx, "foo", at, func(page sdk.Page) error {
				opts := sdk.ReadOptions{App: "foo", Limit: -1, After: at}
				if p.direct {
					page, _ = sdk.ReadFiltered(ctx, fixed(page), opts)
				}
				gone += page.Gone
				for _, e := range page.Entries {
					select {
					case seen <- e:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				if at = page.Next; at.IsZero() {
					at = sdk.Beginning()
				}
				return nil
			})
			time.Sleep(50 * time.Millisecond)
		}
		if gone > 0 {
			ended <- sdk.Breach("it is told that %d lines are gone", gone)
		}
		close(ended)
	}()
	defer func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				p.Errorf("the follower: %v", err)
			}
		case <-time.After(callSlack):
			p.Errorf("Follow does not end within %s of its context", callSlack)
		}
	}()
	var got []sdk.Entry
	reaches := func(n int) {
		p.Helper()
		late := time.NewTimer(p.waits.patience())
		defer late.Stop()
		for len(got) < n {
			select {
			case e := <-seen:
				got = append(got, e)
			case <-late.C:
				p.Fatalf("the backend is back, and the follower has seen %d of %d lines: %s", len(got), n, gist(got))
			}
		}
	}
	reaches(5)
	back := p.away()
	time.Sleep(awayTime)
	back()
	p.stored(one(p.next(), "foo", numbered(6, 8)))
	reaches(8)
	p.append("foo", numbered(9, 10)...)
	reaches(10)
	p.want(got, numbered(1, 10)...)
}
