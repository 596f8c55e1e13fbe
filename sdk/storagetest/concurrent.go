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
func write(ctx context.Context, storage sdk.Storage, w int) error {
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
			ctx, cancel := context.WithTimeout(ctx, patience)
			err := storage.Append(ctx, batch)
			cancel()
			if err != nil {
				return fmt.Errorf("append %+v: %w", batch.ID, err)
			}
		}
	}
	return nil
}

// inOrder checks that each writer's entries follow each other: without a hole,
// except before the first that is there.
func inOrder(entries []sdk.Entry) error {
	next := map[string]int{}
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Message, "line %d", &n); err != nil {
			return fmt.Errorf("message %q: %w", e.Message, err)
		}
		if want, ok := next[e.Pod]; ok && n != want {
			return fmt.Errorf("%s: line %d follows line %d", e.Pod, n, want-1)
		}
		next[e.Pod] = n + 1
	}
	return nil
}

// together runs the writers, and beside them what read does over and over; read is
// called once more when the writers are done.
func (s *subject) together(read ...func() error) {
	s.Helper()
	errs := make(chan error, writers+len(read)) // holds an error of each, so none blocks
	done := make(chan struct{})                 // closed when all writers are done
	var writing, reading sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			if err := write(s.Context(), s.storage, w); err != nil {
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

// concurrentWriters: each writer's entries keep their order, and a reader that
// goes from cursor to cursor beside the writers misses and doubles nothing.
func concurrentWriters(s *subject) {
	var tail sdk.Page
	s.together(
		func() error { // a tail
			page, err := readOnce(s.Context(), s.storage, sdk.ReadOptions{App: "shared", Limit: 50, After: tail.End()})
			switch {
			case err != nil:
				return err
			case len(page.Entries) == 0:
				return nil
			case tail.Epoch == 0:
				// A log that has not begun has no cursor: this page may have begun late.
				page, err = readAll(s.Context(), s.storage, sdk.ReadOptions{App: "shared", Limit: -1})
				tail = page
				return err
			case page.Epoch != tail.Epoch || page.First != tail.End().Position+1:
				return fmt.Errorf("after %q came epoch %x first %d", tail.End(), page.Epoch, page.First)
			}
			tail.Entries = append(tail.Entries, page.Entries...)
			return nil
		},
		func() error { // queries
			page, err := readAll(s.Context(), s.storage, sdk.ReadOptions{App: "shared", Limit: 30})
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
	if whole.First != 1 || len(whole.Entries) != total {
		s.Fatalf("first %d with %d entries, want 1 with %d", whole.First, len(whole.Entries), total)
	}
	if err := inOrder(whole.Entries); err != nil {
		s.Error(err)
	}
	// The last round of the tail may have been cut by its limit.
	rest := s.read(sdk.ReadOptions{App: "shared", Limit: -1, After: tail.End()})
	s.want(sdk.Page{First: tail.First, Entries: append(tail.Entries, rest.Entries...)}, 1, whole.Entries...)
	for w := range writers {
		own := s.all(fmt.Sprintf("writer-%d", w))
		if err := inOrder(own.Entries); err != nil || len(own.Entries) != batches*perApp {
			s.Errorf("writer %d: %d entries, want %d, order: %v", w, len(own.Entries), batches*perApp, err)
		}
	}
}

// concurrentTrim: so it is while entries are trimmed under the reader: positions
// tell exactly what it missed.
func concurrentTrim(s *subject) {
	var last sdk.Cursor
	seen, missed := uint64(0), uint64(0)
	s.together(func() error {
		page, err := readOnce(s.Context(), s.storage, sdk.ReadOptions{App: "shared", Limit: 7, After: last})
		switch {
		case err != nil:
			return err
		case len(page.Entries) > 20:
			return fmt.Errorf("%d entries are more than are kept", len(page.Entries))
		case len(page.Entries) == 0:
			return nil
		}
		gap, known := page.Gap(last)
		if !last.IsZero() && !known {
			return fmt.Errorf("the epoch changed from %x to %x", last.Epoch, page.Epoch)
		}
		seen, missed, last = seen+uint64(len(page.Entries)), missed+gap, page.End()
		return inOrder(page.Entries)
	})
	if s.Failed() {
		return
	}
	if seen+missed != last.Position {
		s.Errorf("%d seen and %d missed up to position %d", seen, missed, last.Position)
	}
	if page := s.all("shared"); len(page.Entries) != 20 || page.End().Position != writers*batches*perApp {
		s.Errorf("%d entries up to position %d, want 20 up to %d", len(page.Entries), page.End().Position, writers*batches*perApp)
	}
}

// concurrentDelete: a log that is deleted over and over beside its writers is
// always one whole life of it.
func concurrentDelete(s *subject) {
	s.together(
		func() error {
			ctx, cancel := s.call()
			defer cancel()
			return s.storage.Delete(ctx, "shared")
		},
		func() error {
			page, err := readOnce(s.Context(), s.storage, sdk.ReadOptions{App: "shared", Limit: -1})
			if err != nil {
				return err
			}
			if page.First != 1 {
				return fmt.Errorf("first is %d and nothing was trimmed", page.First)
			}
			return inOrder(page.Entries)
		},
	)
}

// cancelled: a call whose context ended already returns promptly. If it fails, it
// is for the context; and an Append is then safe to repeat.
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
		s.want(s.all("foo"), 1, numbered(1, i+1)...)
	}
	_ = promptly("Read", func() error {
		_, err := s.storage.Read(ctx, sdk.ReadOptions{App: "foo", Limit: -1})
		return err
	})
	if err := promptly("Delete", func() error { return s.storage.Delete(ctx, "foo") }); err == nil {
		s.want(s.all("foo"), 1)
	}
	if lister, ok := s.storage.(sdk.AppLister); ok {
		_ = promptly("Apps", func() error {
			_, err := lister.Apps(ctx)
			if errors.Is(err, sdk.ErrUnsupported) {
				return nil
			}
			return err
		})
	}
}
