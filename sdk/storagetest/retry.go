package storagetest

import (
	"fmt"

	"github.com/deis/logger/sdk"
)

// one returns a batch of one app.
func one(id sdk.BatchID, app string, entries []sdk.Entry) sdk.Batch {
	return sdk.Batch{ID: id, Apps: []sdk.AppEntries{{App: app, Entries: entries}}}
}

// retry: a batch appended again is stored once, however often.
func retry(s *subject) {
	for i := range 5 {
		batch := one(s.next(), "foo", numbered(i*3+1, i*3+3))
		for range i + 1 {
			s.appendBatch(batch)
		}
	}
	s.want(s.all("foo").Entries, numbered(1, 15)...)
}

// retryInterleaved: batches of other writers with the same numbers may come between a batch and its
// repetition, which is still stored once.
func retryInterleaved(s *subject) {
	var want []sdk.Entry
	var last []sdk.Batch
	for round := range 4 {
		for _, again := range last {
			s.appendBatch(again)
		}
		last = make([]sdk.Batch, 3)
		for w := range 3 {
			id := sdk.BatchID{Writer: fmt.Sprintf("writer-%d", w), Sequence: uint64(round + 1)}
			entries := numbered(round*100+w*10+1, round*100+w*10+2)
			want = append(want, entries...)
			last[w] = one(id, "foo", entries)
			s.appendBatch(last[w])
		}
	}
	for _, again := range last {
		s.appendBatch(again)
	}
	s.want(s.all("foo").Entries, want...)
}

// retrySeveralApps: a batch that is appended again is stored once for each of its apps. A writer's
// numbers may skip batches of other apps.
func retrySeveralApps(s *subject) {
	batch := sdk.Batch{ID: s.next(), Apps: []sdk.AppEntries{
		{App: "foo", Entries: numbered(1, 3)},
		{App: "bar", Entries: numbered(11, 11)},
		{App: "baz", Entries: numbered(21, 25)},
	}}
	s.appendBatch(batch)
	s.appendBatch(batch)
	s.append("bar", numbered(12, 13)...)
	s.append("bar", numbered(14, 14)...)
	s.append("foo", numbered(4, 4)...)
	last := sdk.Batch{ID: s.next(), Apps: []sdk.AppEntries{
		{App: "baz", Entries: numbered(26, 26)},
		{App: "foo", Entries: numbered(5, 5)},
	}}
	s.appendBatch(last)
	s.appendBatch(last)
	s.want(s.all("foo").Entries, numbered(1, 5)...)
	s.want(s.all("bar").Entries, numbered(11, 14)...)
	s.want(s.all("baz").Entries, numbered(21, 26)...)
}

// retryPartlyStored: a try may have stored some of the apps; the next stores the others. The
// storage then gets a batch of which it has some apps already.
func retryPartlyStored(s *subject) {
	id := s.next()
	s.appendBatch(one(id, "foo", numbered(1, 3)))
	s.appendBatch(sdk.Batch{ID: id, Apps: []sdk.AppEntries{
		{App: "bar", Entries: numbered(11, 12)},
		{App: "foo", Entries: numbered(1, 3)},
	}})
	s.append("foo", numbered(4, 4)...)
	s.want(s.all("foo").Entries, numbered(1, 4)...)
	s.want(s.all("bar").Entries, numbered(11, 12)...)
}

// retryAfterTrim: entries that were stored and are already trimmed are not stored again.
func retryAfterTrim(s *subject) {
	batch := one(s.next(), "foo", numbered(1, 2))
	s.appendBatch(batch)
	other := one(sdk.BatchID{Writer: "other", Sequence: 1}, "foo", numbered(3, 9))
	s.appendBatch(other)
	s.appendBatch(batch)
	s.want(s.all("foo").Entries, numbered(7, 9)...)
}

// lowerSequence: a batch whose number is not above the highest stored for the app and the writer is
// ignored, whatever it holds. Numbers need not be consecutive.
func lowerSequence(s *subject) {
	for _, c := range []struct {
		sequence uint64
		entry    int
	}{{1, 1}, {1 << 40, 2}, {7, 99}, {1<<40 - 1, 99}, {1 << 40, 99}, {1<<63 + 5, 3}, {2, 99}, {1<<63 + 6, 4}} {
		s.appendBatch(one(sdk.BatchID{Writer: "w", Sequence: c.sequence}, "foo", numbered(c.entry, c.entry)))
	}
	s.want(s.all("foo").Entries, numbered(1, 4)...)
	s.appendBatch(one(sdk.BatchID{Writer: "w", Sequence: 3}, "bar", numbered(1, 1)))
	s.want(s.all("bar").Entries, numbered(1, 1)...)
}

// emptyBatch: nothing to store is no error and begins no log.
func emptyBatch(s *subject) {
	s.appendBatch(sdk.Batch{ID: s.next()})
	s.appendBatch(one(s.next(), "foo", nil))
	if page := s.all("foo"); page.Epoch != 0 || len(page.Entries) != 0 {
		s.Errorf("an empty batch began a log: epoch %x, %d entries", page.Epoch, len(page.Entries))
	}
	s.append("foo", numbered(1, 2)...)
	s.appendBatch(sdk.Batch{ID: s.next(), Apps: []sdk.AppEntries{
		{App: "foo"},
		{App: "bar", Entries: numbered(5, 5)},
		{App: "baz"},
	}})
	s.want(s.all("foo").Entries, numbered(1, 2)...)
	s.want(s.all("bar").Entries, numbered(5, 5)...)
	s.want(s.all("baz").Entries)
}

// retryFewerApps: a batch may come again with some of its apps only, in any turn: a host looks with
// smaller batches for the app that fails.
func retryFewerApps(s *subject) {
	s.append("bar", line(10))
	id := s.next()
	group := func(app string, first, last int) sdk.AppEntries {
		return sdk.AppEntries{App: app, Entries: numbered(first, last)}
	}
	foo, bar, baz := group("foo", 1, 3), group("bar", 11, 12), group("baz", 21, 22)
	for _, apps := range [][]sdk.AppEntries{{baz}, {foo, baz}, {bar}, {foo, bar, baz}, {bar, foo}, {baz}} {
		s.appendBatch(sdk.Batch{ID: id, Apps: apps})
	}
	s.appendBatch(sdk.Batch{ID: s.next(), Apps: []sdk.AppEntries{group("foo", 4, 4), group("baz", 23, 23)}})
	s.appendBatch(sdk.Batch{ID: id, Apps: []sdk.AppEntries{foo, bar, baz}})
	s.wantKept("foo", 4, numbered(1, 4)...)
	s.wantKept("bar", 3, numbered(10, 12)...)
	s.wantKept("baz", 3, numbered(21, 23)...)
}
