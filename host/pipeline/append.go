package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/deis/logger/sdk"
)

// storeBatch appends a batch, again and again until it is stored. What the storage can
// never store is found by halving, and rejected. Its only error is the end of ctx.
func (p *Pipeline) storeBatch(ctx context.Context, b sdk.Batch) error {
	entries := b.Len()
	if entries == 0 {
		return ctx.Err()
	}
	p.sequence++
	b.ID = sdk.BatchID{Writer: p.writer, Sequence: p.sequence}
	err := p.appendUntilStored(ctx, b)
	switch {
	case err == nil:
		p.books.store(entries)
		return nil
	case !errors.Is(err, sdk.ErrInvalid):
		return err
	case entries == 1:
		p.books.refuse(b.Apps[0].App, err)
		return nil
	}
	// A refused batch is refused before any of it is stored (see sdk.Storage), so
	// its halves are new batches.
	first, second := halve(b, entries/2)
	if err := p.storeBatch(ctx, first); err != nil {
		return err
	}
	return p.storeBatch(ctx, second)
}

// appendUntilStored tries until the batch is stored (nil), refused (wrapping
// sdk.ErrInvalid) or ctx ends. Every try carries the same batch id, so a try whose
// answer got lost is not stored twice.
func (p *Pipeline) appendUntilStored(ctx context.Context, b sdk.Batch) error {
	return p.untilDone(ctx, func(ctx context.Context) error { return p.appendOnce(ctx, b) })
}

// untilDone tries until storage has done it (nil), refused it (wrapping sdk.ErrInvalid) or
// ctx ends. Each try has the time of an append.
func (p *Pipeline) untilDone(ctx context.Context, try func(ctx context.Context) error) error {
	for pause := firstRetry; ; pause = min(2*pause, slowestRetry) {
		timed, cancel := context.WithTimeout(ctx, p.opts.AppendTimeout)
		err := try(timed)
		cancel()
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
	start := time.Now()
	err := p.opts.Storage.Append(ctx, b)
	p.books.appendSeconds.Observe(time.Since(start).Seconds())
	p.books.batchEntries.Observe(float64(b.Len()))
	return err
}
