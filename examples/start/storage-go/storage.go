package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/deis/logger/sdk"
)

// storage implements sdk.Storage. It keeps lines in its own memory, which ends with the process:
// put your backend in the place of logs.
type storage struct {
	settings
	mu   sync.Mutex
	logs map[string]*log
}

// log holds an app's entries from its beginning to its end.
type log struct {
	epoch, last uint64      // last is the position of the last entry
	kept        []sdk.Entry // in any order
	marks       sdk.Marks   // which batches it has
}

var _ sdk.Storage = (*storage)(nil)

// open makes the storage. A backend that is away is no error here: it is for Check to report
// (sdk.Checker).
func open(_ context.Context, set settings, _ sdk.Host) (sdk.Storage, error) {
	return &storage{settings: set, logs: map[string]*log{}}, nil
}

// Append stores the batch, but for apps that have it. A backend that can fail in between changes
// entries and marks in one transaction.
func (s *storage) Append(_ context.Context, batch sdk.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, group := range batch.Apps {
		if len(group.Entries) == 0 {
			continue // nothing to store begins no log
		}
		l := s.logs[group.App]
		if l == nil {
			l = &log{epoch: rand.Uint64() | 1} //nolint:gosec // it tells logs apart, and is no secret
			s.logs[strings.Clone(group.App)] = l
		}
		if l.marks.Stored(batch.ID) {
			continue
		}
		l.marks.Add(batch.ID)
		for _, e := range group.Entries {
			l.last++
			e.Position = l.last
			l.kept = append(l.kept, clone(e))
		}
		l.trim(s.Lines)
	}
	return nil
}

// clone copies the texts, which share one buffer with the whole batch.
func clone(e sdk.Entry) sdk.Entry {
	for _, text := range []*string{&e.Process, &e.Release, &e.Pod, &e.Container, &e.Stream, &e.Host, &e.Message} {
		*text = strings.Clone(*text)
	}
	return e
}

// trim keeps the entries that were published last, whenever they arrived.
func (l *log) trim(lines int) {
	over := len(l.kept) - lines
	if over <= 0 {
		return
	}
	slices.SortFunc(l.kept, func(a, b sdk.Entry) int {
		if c := a.Published.Compare(b.Published); c != 0 {
			return c
		}
		return int(a.Position) - int(b.Position)
	})
	l.kept = slices.Delete(l.kept, 0, over)
}

// Read answers a page of entries. The SDK chooses them, and applies the filter.
func (s *storage) Read(_ context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[opts.App]
	if l == nil {
		return sdk.Page{}, nil
	}
	return sdk.Answer(l.epoch, l.last, l.kept, opts), nil
}

// Delete forgets the log. What comes later begins another.
func (s *storage) Delete(_ context.Context, app string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.logs, app)
	return nil
}
