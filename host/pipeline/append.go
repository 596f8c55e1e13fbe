package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/deis/logger/sdk"
)

// storeEntries appends entries as one batch, again and again until they are stored.
// What the storage can never store is found by halving, and rejected. Its only
// error is the end of ctx.
func (p *Pipeline) storeEntries(ctx context.Context, entries []appEntry) error {
	if len(entries) == 0 {
		return ctx.Err()
	}
	err := p.appendUntilStored(ctx, p.batch(entries))
	switch {
	case err == nil:
		p.books.store(len(entries))
		return nil
	case !errors.Is(err, sdk.ErrInvalid):
		return err
	case len(entries) == 1:
		p.books.refuse(entries[0].app, err)
		return nil
	}
	// A refused batch is refused before any of it is stored (see sdk.Storage), so
	// its halves are new batches.
	half := len(entries) / 2
	if err := p.storeEntries(ctx, entries[:half]); err != nil {
		return err
	}
	return p.storeEntries(ctx, entries[half:])
}

// batch groups the entries by app, in order within each, under the next number.
func (p *Pipeline) batch(entries []appEntry) sdk.Batch {
	p.sequence++
	b := sdk.Batch{ID: sdk.BatchID{Writer: p.writer, Sequence: p.sequence}}
	counts := make(map[string]int)
	for i := range entries {
		counts[entries[i].app]++
	}
	b.Apps = make([]sdk.AppEntries, 0, len(counts))
	places := make(map[string]int, len(counts))
	for i := range entries {
		e := &entries[i]
		place, ok := places[e.app]
		if !ok {
			place = len(b.Apps)
			places[e.app] = place
			b.Apps = append(b.Apps, sdk.AppEntries{App: e.app, Entries: make([]sdk.Entry, 0, counts[e.app])})
		}
		b.Apps[place].Entries = append(b.Apps[place].Entries, e.entry)
	}
	return b
}

// appendUntilStored tries until the batch is stored (nil), refused (wrapping
// sdk.ErrInvalid) or ctx ends. Every try carries the same batch id, so a try whose
// answer got lost is not stored twice.
func (p *Pipeline) appendUntilStored(ctx context.Context, b sdk.Batch) error {
	for pause := firstRetry; ; pause = min(2*pause, slowestRetry) {
		err := p.appendOnce(ctx, b)
		switch {
		case err == nil, errors.Is(err, sdk.ErrInvalid):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		p.books.retry(err)
		t := time.NewTimer(pause/2 + rand.N(pause/2)) //nolint:gosec // no secret depends on it
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		// A storage that is away is waited for, and then tried at once.
		if err := p.opts.Storage.Wait(ctx); err != nil {
			return err
		}
	}
}

func (p *Pipeline) appendOnce(ctx context.Context, b sdk.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.AppendTimeout)
	defer cancel()
	start := time.Now()
	err := p.opts.Storage.Append(ctx, b)
	p.books.appendSeconds.Observe(time.Since(start).Seconds())
	p.books.batchEntries.Observe(float64(b.Len()))
	return err
}
