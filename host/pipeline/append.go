package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/deis/logger/sdk"
)

// piece holds a batch, or a part of one, that is appended under an id of its own.
type piece struct {
	batch sdk.Batch
	// failures counts the tries that failed although storage said, before and after, that it was
	// ready.
	failures int
}

// suspectAfter is the number of failures that make a piece a suspect: from then on its parts are
// tried instead.
const suspectAfter = 5

// store appends what the deliveries hold, again and again until it is stored, and returns the
// deliveries. Every try of a piece carries the same batch id, so that a piece whose answer got lost
// is not stored twice.
//
// One line that storage fails on must not hold up the others. So a piece is cut into smaller ones
// if storage refuses it as invalid, or keeps failing on it while it says that it is ready. A single
// entry is rejected once storage refuses it, or has failed on it again and again while it stored
// others. If there are no others, later deliveries are taken along.
//
// The only error is the end of ctx.
func (p *Pipeline) store(ctx context.Context, taken []delivery) ([]delivery, error) {
	todo := p.pieces(nil, group(taken, &p.spare))
	defer func() {
		if clear(p.spare); len(p.spare) > batchEntries { // a rare large one
			p.spare = nil
		}
	}()
	proven := false // storage has stored something since it began to fail
	for pause := firstRetry; len(todo) > 0; pause = min(2*pause, slowestRetry) {
		var left []piece
		stored := false
		for len(todo) > 0 {
			one := todo[0]
			todo = todo[1:]
			wasReady := p.opts.Storage.Ready()
			err := p.appendOnce(ctx, one.batch)
			switch {
			case err == nil:
				p.books.store(one.batch.Len())
				stored = true
				continue
			case errors.Is(err, sdk.ErrInvalid):
				todo = append(p.refused(nil, one.batch, err), todo...)
				continue
			case ctx.Err() != nil:
				return taken, ctx.Err()
			}
			p.books.retry(err)
			if err := p.rest(ctx, pause); err != nil {
				return taken, err
			}
			if wasReady && p.opts.Storage.Ready() {
				one.failures++
			}
			switch {
			case one.failures < suspectAfter:
				left = append(left, one)
			case one.batch.Len() > 1:
				if left, err = p.split(ctx, left, one); err != nil {
					return taken, err
				}
			case proven && mayBeItsFault(err):
				p.books.reject(Failed, one.batch.Apps[0].App, err)
			default:
				left = append(left, one)
			}
		}
		proven = proven || stored
		if todo = left; !proven && len(todo) > 0 && !slices.ContainsFunc(todo, unsuspected) {
			more := p.nextAfter(len(taken))
			if err := p.dropStored(ctx, more); err != nil {
				return taken, err
			}
			taken, todo = append(taken, more...), p.pieces(todo, group(more, new([]sdk.Entry)))
		}
	}
	return taken, ctx.Err()
}

// unsuspected reports whether there is still something to find out about the piece.
func unsuspected(one piece) bool { return one.failures < suspectAfter || one.batch.Len() > 1 }

// mayBeItsFault reports whether an entry can be the reason why its append failed. A backend that is
// away or full is not the entry's fault: it would have every entry rejected.
func mayBeItsFault(err error) bool {
	return errors.Is(err, sdk.ErrEnded) || !errors.Is(err, sdk.ErrUnavailable) && !errors.Is(err, sdk.ErrFull)
}

// pieces adds the batch as a piece with a new id, if it has entries.
func (p *Pipeline) pieces(all []piece, b sdk.Batch) []piece {
	if b.Len() == 0 {
		return all
	}
	p.sequence++
	b.ID = sdk.BatchID{Writer: p.writer, Sequence: p.sequence}
	return append(all, piece{batch: b})
}

// refused rejects the entry of a refused batch if it has only one; otherwise it adds the halves.
// Nothing of a refused batch is stored (see sdk.Storage), so the halves are new batches.
func (p *Pipeline) refused(all []piece, b sdk.Batch, err error) []piece {
	if b.Len() == 1 {
		p.books.reject(Refused, b.Apps[0].App, err)
		return all
	}
	first, second := halve(b, b.Len()/2)
	return p.pieces(p.pieces(all, first), second)
}

// split adds the halves of a piece that storage fails on, of which some may be stored. Under a
// batch id, storage knows for each app what it has stored, so halves with different apps keep the
// id. The entries of one app cannot be parted so: those that storage has are looked up, and the
// others become new batches.
func (p *Pipeline) split(ctx context.Context, all []piece, one piece) ([]piece, error) {
	b := one.batch
	if n := len(b.Apps); n > 1 {
		first, second := b, b
		first.Apps, second.Apps = b.Apps[:n/2], b.Apps[n/2:]
		return append(all, piece{first, suspectAfter - 2}, piece{second, suspectAfter - 2}), nil
	}
	app := b.Apps[0]
	entries := make([]*sdk.Entry, len(app.Entries))
	for i := range entries {
		entries[i] = &app.Entries[i]
	}
	stored, err := p.storedOf(ctx, app.App, entries)
	if err != nil {
		return all, err
	}
	p.books.store(len(stored))
	var rest []sdk.Entry
	for i := range app.Entries {
		if !stored[&app.Entries[i]] {
			rest = append(rest, app.Entries[i])
		}
	}
	first, second := halve(sdk.Batch{Apps: []sdk.AppEntries{{App: app.App, Entries: rest}}}, len(rest)/2)
	n := len(all)
	all = p.pieces(p.pieces(all, first), second)
	for i := range all[n:] {
		all[n+i].failures = suspectAfter - 2
	}
	return all, nil
}

// rest waits for about the pause, and then until a storage process serves.
func (p *Pipeline) rest(ctx context.Context, pause time.Duration) error {
	t := time.NewTimer(pause/2 + rand.N(pause/2)) //nolint:gosec // no secret depends on it
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	}
	return p.opts.Storage.Wait(ctx)
}

// untilDone calls try until storage has done it (nil), refused it (an error that wraps
// sdk.ErrInvalid) or ctx ends. Each try has the time of an append.
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
		if err := p.rest(ctx, pause); err != nil {
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
