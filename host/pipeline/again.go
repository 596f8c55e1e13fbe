package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/deis/logger/sdk"
)

// A message that was delivered before may be stored already: by a host that ended before it
// could acknowledge it, or by another one of those that share the channel. This host does
// not know what those had, but storage does: an entry of the same message has the same
// publish time, to the nanosecond, and the same content. So the entries of such messages are
// looked up before they are appended. They are few: what was in flight when a host or an
// aggregator ended.

// lookUpPage is how many entries are read at once around a publish time.
const lookUpPage = 500

// dropStored takes the entries out of the deliveries that are stored already. It asks until
// storage answers; its only error is the end of ctx.
func (p *Pipeline) dropStored(ctx context.Context, taken []delivery) error {
	again := map[string][]*sdk.Entry{} // by app
	for _, d := range taken {
		for i := range d.entries {
			if e := &d.entries[i]; e.again {
				again[e.app] = append(again[e.app], &e.entry)
			}
		}
	}
	stored := map[*sdk.Entry]bool{}
	for app, entries := range again {
		slices.SortFunc(entries, byPublished)
		found, err := p.storedOf(ctx, app, entries)
		if err != nil {
			return err
		}
		maps.Copy(stored, found)
	}
	if len(stored) == 0 {
		return nil
	}
	for i := range taken {
		d := &taken[i]
		kept := make([]appEntry, 0, len(d.entries))
		for j := range d.entries {
			if !stored[&d.entries[j].entry] {
				kept = append(kept, d.entries[j])
			}
		}
		d.entries = kept
	}
	p.books.drop(len(stored))
	return nil
}

// storedOf returns those of the entries, which are in the order of publishing, that the
// app's log has. It asks until storage answers; its only error is the end of ctx.
func (p *Pipeline) storedOf(ctx context.Context, app string, entries []*sdk.Entry) (stored map[*sdk.Entry]bool, err error) {
	err = p.untilDone(ctx, func(ctx context.Context) error {
		stored = map[*sdk.Entry]bool{}
		if err := p.lookUp(ctx, app, entries, stored); err != nil {
			return fmt.Errorf("look up what was delivered before of %q: %w", app, err)
		}
		return nil
	})
	if errors.Is(err, sdk.ErrInvalid) { // what cannot be looked up is appended
		return nil, nil
	}
	return stored, err
}

// lookUp adds to stored those of the entries, which are in the order of publishing, that the
// app's log has.
func (p *Pipeline) lookUp(ctx context.Context, app string, entries []*sdk.Entry, stored map[*sdk.Entry]bool) error {
	log, err := p.opts.Storage.Read(ctx, sdk.ReadOptions{App: app})
	if err != nil || log.Epoch == 0 {
		return err
	}
	for len(entries) > 0 {
		// All that was published at the moment of the first one, and after it.
		after := log.End()
		after.Published, after.Entry = entries[0].Published.UnixNano()-1, math.MaxUint64
		page, err := p.opts.Storage.Read(ctx, sdk.ReadOptions{App: app, Limit: lookUpPage, After: after})
		if err != nil {
			return err
		}
		n := len(page.Entries)
		if n == 0 || page.Epoch != log.Epoch || page.Entries[0].Position > log.Last {
			break // the log has nothing behind that moment
		}
		// The page may end among entries of one moment; the next one begins with them. If
		// they are the whole page, that moment has more than anybody publishes.
		for first := true; len(entries) > 0; first = false {
			if !first && !entries[0].Published.Before(page.Entries[n-1].Published) {
				break
			}
			if slices.ContainsFunc(page.Entries, func(e sdk.Entry) bool { return sameMessage(&e, entries[0]) }) {
				stored[entries[0]] = true
			}
			entries = entries[1:]
		}
	}
	return nil
}

// sameMessage reports whether two entries were made of one message.
func sameMessage(a, b *sdk.Entry) bool {
	return a.Published.Equal(b.Published) && a.Message == b.Message && a.Pod == b.Pod && a.Stream == b.Stream &&
		a.Source == b.Source && a.Time.Equal(b.Time)
}
