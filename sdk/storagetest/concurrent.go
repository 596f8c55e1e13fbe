package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/deis/logger/sdk"
)

const (
	writers = 4
	batches = 40
	perApp  = 5 // entries of each app in a batch
)

// write appends the batches of one writer, to the shared app and one of its own,
// each now and then twice. An entry's Pod names its writer, its message the number.
func (s *subject) write(w int) error {
	writer := fmt.Sprintf("writer-%d", w)
	for b := range batches {
		entries := numbered(b*perApp, b*perApp+perApp-1)
		for i := range entries {
			entries[i].Pod = writer
		}
		batch := sdk.Batch{
			ID:   sdk.BatchID{Writer: writer, Sequence: uint64(b + 1)},
			Apps: []sdk.AppEntries{{App: "shared", Entries: entries}, {App: writer, Entries: entries}},
		}
		for range 1 + b%3/2 {
			ctx, cancel := s.call()
			err := s.storage.Append(ctx, batch)
			cancel()
			if err != nil {
				return fmt.Errorf("append %+v: %w", batch.ID, err)
			}
		}
	}
	return nil
}

// numberOf returns the number of a line that write appended.
func numberOf(e *sdk.Entry) (n int, err error) {
	if _, err := fmt.Sscanf(e.Message, "line %d", &n); err != nil {
		return 0, fmt.Errorf("message %q: %w", e.Message, err)
	}
	return n, nil
}

// inOrder checks that each writer's entries follow each other, in the order of publishing:
// without a hole, except before the first that is there.
func inOrder(entries []sdk.Entry) error {
	next := map[string]int{}
	for i := range entries {
		writer := entries[i].Pod
		n, err := numberOf(&entries[i])
		if err != nil {
			return err
		}
		if want, ok := next[writer]; ok && n != want {
			return fmt.Errorf("%s: line %d follows line %d", writer, n, want-1)
		}
		next[writer] = n + 1
	}
	return nil
}

// arrivedInOrder checks that each writer's batches follow each other, in the order of
// arrival; within a batch there is no order.
func arrivedInOrder(entries []sdk.Entry) error {
	latest := map[string]int{}
	for i := range entries {
		writer := entries[i].Pod
		n, err := numberOf(&entries[i])
		if err != nil {
			return err
		}
		if batch := n / perApp; batch < latest[writer] {
			return fmt.Errorf("%s: batch %d arrived after batch %d", writer, batch, latest[writer])
		}
		latest[writer] = n / perApp
	}
	return nil
}

// together runs the writers, and calls each read over and over beside them, and once more when they
// are done.
func (s *subject) together(read ...func() error) {
	s.Helper()
	errs := make(chan error, writers+len(read)) // holds an error of each, so none blocks
	done := make(chan struct{})                 // closed when all writers are done
	var writing, reading sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			if err := s.write(w); err != nil {
				errs <- err
			}
		})
	}
	for _, read := range read {
		reading.Go(func() {
			for last := false; ; {
				if err := read(); err != nil {
					errs <- err
					return
				}
				if last {
					return
				}
				select {
				case <-done:
					last = true
				default:
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	close(errs)
	for err := range errs {
		s.Error(err)
	}
}

// concurrentWriters: each writer's batches keep their order, and a reader that goes from
// cursor to cursor beside the writers misses and doubles nothing.
func concurrentWriters(s *subject) {
	tail := walked{at: sdk.Beginning()}
	readOn := func(limit int) error {
		opts := sdk.ReadOptions{App: "shared", Limit: limit, After: tail.at}
		page, err := s.page(s.Context(), opts)
		if err == nil {
			tail.take(&page, opts.After)
		}
		return err
	}
	s.together(
		func() error { return readOn(50) },
		func() error { // queries
			page, err := s.readNewest(s.Context(), sdk.ReadOptions{App: "shared", Limit: 30})
			if err != nil {
				return err
			}
			return inOrder(page.Entries)
		},
	)
	if s.Failed() {
		return
	}
	const total = writers * batches * perApp
	whole := s.all("shared")
	if len(whole.Entries) != total || whole.Last != total {
		s.Fatalf("%d entries up to position %d, want %d", len(whole.Entries), whole.Last, total)
	}
	if err := inOrder(whole.Entries); err != nil {
		s.Error(err)
	}
	for tail.at != whole.End() { // the last round of the tail may have been cut by its limit
		if err := readOn(1000); err != nil {
			s.Fatal(err)
		}
	}
	if err := arrivedInOrder(tail.arrived); err != nil || len(tail.arrived) != total || tail.gone != 0 {
		s.Errorf("the tail has %d entries, %d are gone, want %d and none; order: %v", len(tail.arrived), tail.gone, total, err)
	}
	s.want(tail.arrived, s.arrivals("shared")...)
	for w := range writers {
		own := s.all(fmt.Sprintf("writer-%d", w))
		if err := inOrder(own.Entries); err != nil || len(own.Entries) != batches*perApp {
			s.Errorf("writer %d: %d entries, want %d, order: %v", w, len(own.Entries), batches*perApp, err)
		}
	}
}

// concurrentTrim: while entries are trimmed under a reader, it is told exactly how many it missed,
// and sees the others once.
func concurrentTrim(s *subject) {
	tail := walked{at: sdk.Beginning()}
	readOn := func() error {
		opts := sdk.ReadOptions{App: "shared", Limit: 7, After: tail.at}
		page, err := s.page(s.Context(), opts)
		if err == nil {
			tail.take(&page, opts.After)
		}
		return err
	}
	s.together(readOn, func() error {
		page, err := s.readNewest(s.Context(), sdk.ReadOptions{App: "shared", Limit: -1})
		switch {
		case err != nil:
			return err
		case len(page.Entries) > 20:
			return fmt.Errorf("%d entries are more than are kept", len(page.Entries))
		}
		return nil
	})
	if s.Failed() {
		return
	}
	const total = writers * batches * perApp
	page := s.all("shared")
	if len(page.Entries) != 20 || page.Last != total {
		s.Fatalf("%d entries up to position %d, want 20 up to %d", len(page.Entries), page.Last, total)
	}
	for tail.at != page.End() {
		if err := readOn(); err != nil {
			s.Fatal(err)
		}
	}
	if err := arrivedInOrder(tail.arrived); err != nil || uint64(len(tail.arrived))+tail.gone != total {
		s.Errorf("%d seen and %d missed of %d; order: %v", len(tail.arrived), tail.gone, total, err)
	}
}

// concurrentDelete: while a log is deleted over and over beside its writers, a reader always sees
// one whole life of it.
func concurrentDelete(s *subject) {
	s.together(
		func() error {
			ctx, cancel := s.call()
			defer cancel()
			return s.storage.Delete(ctx, "shared")
		},
		func() error {
			opts := sdk.ReadOptions{App: "shared", Limit: -1, After: sdk.Beginning()}
			page, err := s.page(s.Context(), opts)
			if err != nil {
				return err
			}
			if page.Gone != 0 {
				return fmt.Errorf("%d entries are gone and nothing was trimmed", page.Gone)
			}
			return arrivedInOrder(page.Entries)
		},
	)
}

// cancelled: a call whose context ended already returns promptly. If it fails, the error is the
// context's, and an Append is then safe to repeat.
func cancelled(s *subject) {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	judge := func(call string, err error) {
		s.Helper()
		if err != nil && !errors.Is(err, context.Canceled) {
			s.Errorf("%s with an ended context: %v", call, err)
		}
	}
	promptly := func(call string, f func() error) error {
		s.Helper()
		result := make(chan error, 1) // written once
		go func() { result <- f() }()
		ctx, cancel := s.call()
		defer cancel()
		select {
		case err := <-result:
			judge(call, err)
			return err
		case <-ctx.Done():
			s.Fatalf("%s with an ended context did not return", call)
			return nil
		}
	}
	for i := range 3 {
		batch := one(s.next(), "foo", numbered(i+1, i+1))
		if err := promptly("Append", func() error { return s.storage.Append(ctx, batch) }); err != nil {
			s.appendBatch(batch)
		}
		s.want(s.all("foo").Entries, numbered(1, i+1)...)
	}
	_ = promptly("Read", func() error {
		_, err := s.storage.Read(ctx, sdk.ReadOptions{App: "foo", Limit: -1})
		return err
	})
	if err := promptly("Delete", func() error { return s.storage.Delete(ctx, "foo") }); err == nil {
		s.want(s.all("foo").Entries)
	}
	if lister, ok := s.storage.(sdk.AppLister); ok {
		_ = promptly("Apps", func() error {
			_, err := lister.Apps(ctx, "", 0)
			if errors.Is(err, sdk.ErrUnsupported) {
				return nil
			}
			return err
		})
	}
}
