package follow

import (
	"context"
	"errors"
	"fmt"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// Follower gets one app's entries, from a place on, as they arrive. It is for one goroutine.
type Follower struct {
	log    *read.Log
	hub    *Hub
	stream *stream // nil until what is kept was read once
	caught bool    // everything before the chain was read
	// stale is an epoch that is over, but still in the chain: its entries are older than what was
	// read. 0 is none.
	stale uint64
	// life is the life of the chain that the follower has reached. It skips links of an earlier
	// life: the storage lost their entries before the follower read what it has.
	life     uint64
	promised bool       // the last batch said that there is more
	joined   sdk.Cursor // the end of the chain when it joined
	closed   bool
	link     *link         // the last link that it took; stream.mu guards it
	woken    chan struct{} // has a value when there may be a next link
}

// Begin makes the follower go on where the log is, which others have read so far.
func (f *Follower) Begin(log *read.Log) { f.log = log.Onward(f.hub.opts.Storage) }

// Next returns the next batch, and waits for it, even while the storage is away. After a batch with
// More set it does not wait: if there was no more after all, the batch is empty. Next fails with
// ctx's error, or with [sdk.ErrStopping] when the hub stops.
func (f *Follower) Next(ctx context.Context) (read.Batch, error) {
	for {
		switch {
		case f.hub.ctx.Err() != nil:
			return read.Batch{}, sdk.ErrStopping
		case ctx.Err() != nil:
			return read.Batch{}, ctx.Err()
		}
		var b read.Batch
		var err error
		if f.caught {
			b = f.live(ctx)
		} else {
			b, err = f.catchUp(ctx)
		}
		if err != nil {
			return read.Batch{}, err
		}
		for _, gap := range b.Gaps {
			f.hub.metrics.missed.WithLabelValues(string(gap.Reason)).Add(float64(gap.Count))
		}
		promised := f.promised
		f.promised = b.More
		if len(b.Gaps) > 0 || len(b.Entries) > 0 || promised && !b.More {
			return b, nil
		}
	}
}

// At returns the place behind all that Next returned.
func (f *Follower) At() read.Place { return f.log.At() }

// catchUp reads what is kept. Near the end it joins the chain, and reads on until nothing is left
// between what it read and the chain.
func (f *Follower) catchUp(ctx context.Context) (b read.Batch, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.hub.ctx, cancel)()
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		b, err = f.readOn(ctx)
		if err == nil {
			break
		}
		if errors.Is(err, sdk.ErrInvalid) {
			return b, err
		}
		f.hub.opts.Logger.Debug("a follower waits for the storage", "app", f.log.App(), "error", err)
		if !sleep(ctx, wait) {
			return read.Batch{}, nil
		}
	}
	if b.More {
		return b, nil
	}
	if f.stream == nil {
		f.stream = f.hub.use(f.log)
		f.join()
		return b, nil
	}
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	at, last := f.joined, f.log.At().Cursor
	switch {
	case b.Read > 0:
		f.caught = last.Epoch == at.Epoch && last.Position >= at.Position
	case last.Epoch != at.Epoch && at.Position > 0:
		// What was read is the newest that there is, so the chain is behind it.
		f.caught, f.stale = true, at.Epoch
	case last.Epoch == at.Epoch && last.Position < at.Position:
		// The log fell back, which the chain is about to notice.
		f.caught, f.life = true, f.life+1
	default:
		f.caught = true
	}
	return b, nil
}

func (f *Follower) readOn(ctx context.Context) (read.Batch, error) {
	// The caller's deadline does not end the read: with a storage that is slower than the deadline,
	// no read would ever succeed. A caller that is cancelled does end it.
	caller := ctx
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.hub.opts.ReadTimeout)
	defer cancel()
	defer context.AfterFunc(caller, func() {
		if errors.Is(caller.Err(), context.Canceled) {
			cancel()
		}
	})()
	b, err := f.log.Next(ctx, readPage)
	if err != nil {
		return b, fmt.Errorf("read %q: %w", f.log.App(), err)
	}
	return b, nil
}

// join puts the follower at the last link of the chain. The chain keeps what comes after that for
// the follower.
func (f *Follower) join() {
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	f.joined, f.link, f.life = f.stream.cursor, f.stream.tail, f.stream.life
	f.stream.followers[f] = struct{}{}
	// Otherwise some of what the follower has not read may be in the chain already, even if it is
	// the first of its app: its stream may have gone on since.
	f.caught = f.joined == f.log.At().Cursor
}

// live waits for the next link of the chain, and returns its batch.
func (f *Follower) live(ctx context.Context) (b read.Batch) {
	f.stream.mu.Lock()
	l := f.link.next
	if l == nil {
		f.stream.mu.Unlock()
		select {
		case <-f.woken:
		case <-f.log.Overdue():
			return f.log.Rest()
		case <-ctx.Done():
		case <-f.hub.ctx.Done():
		}
		return read.Batch{}
	}
	f.link = l
	more := l.next != nil
	f.stream.mu.Unlock()

	at := f.log.At()
	if l.span.End().Epoch == 0 {
		if at.Epoch == l.before.Epoch {
			b = f.log.FallBack(sdk.Beginning(), l.reason)
		}
		b.More = more
		return b
	}
	if l.span.End().Epoch == f.stale || l.life < f.life {
		return read.Batch{}
	}
	f.stale = 0
	var fellBack []read.Gap
	if l.life > f.life && at.Epoch == l.before.Epoch {
		fellBack = f.log.FallBack(l.before, read.Lost).Gaps
	}
	f.life = l.life
	reason := l.reason
	if at.Epoch != l.previous {
		reason = read.Lost // nobody saw that log end
	}
	b = f.log.Pass(ctx, l.span, l.before, reason)
	b.Gaps, b.More = append(fellBack, b.Gaps...), more
	return b
}

// keepUp moves the follower on if too much waits for it, until half of what may wait is left, but
// never beyond the newest page. The caller holds the stream's lock.
func (f *Follower) keepUp(newest *link) {
	o := &f.hub.opts
	behind := func(part uint64) bool {
		return newest.entries-f.link.entries > o.BufferEntries/part || newest.bytes-f.link.bytes > o.BufferBytes/part
	}
	if !behind(1) {
		return
	}
	for behind(2) && f.link.next != newest && f.link.next != nil {
		f.link = f.link.next
	}
}

// Live reports whether all that was kept is read. From then on Next returns what arrives.
func (f *Follower) Live() bool { return f.caught }

// Close ends the follower, and frees what it holds. It may be called more than once.
func (f *Follower) Close() {
	if f.closed {
		return
	}
	f.closed = true
	if f.stream != nil {
		f.stream.mu.Lock()
		delete(f.stream.followers, f)
		f.stream.mu.Unlock()
	}
	f.hub.leave(f.stream)
}
