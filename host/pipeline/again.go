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

// lookUpPage bounds the entries that are read at once around a publish time.
const lookUpPage = 500

// dropStored removes from the deliveries the entries that are stored already. It asks until storage
// answers; its only error is the end of ctx.
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

// storedOf returns which of the entries the app's log has. The entries are in the order of
// publishing. It asks until storage answers; its only error is the end of ctx.
func (p *Pipeline) storedOf(ctx context.Context, app string, entries []*sdk.Entry) (stored map[*sdk.Entry]bool, err error) {
	err = p.untilDone(ctx, func(ctx context.Context) error {
		stored = map[*sdk.Entry]bool{}
		if err := p.lookUp(ctx, app, entries, stored); err != nil {
			return fmt.Errorf("look up what was delivered before of %q: %w", app, err)
		}
		return nil
	})
	if errors.Is(err, sdk.ErrInvalid) { // entries that cannot be looked up are appended
		return nil, nil
	}
	return stored, err
}

// lookUp adds to stored the entries that the app's log has. The entries are in the order of
// publishing.
func (p *Pipeline) lookUp(ctx context.Context, app string, entries []*sdk.Entry, stored map[*sdk.Entry]bool) error {
	log, err := p.opts.Storage.Read(ctx, sdk.ReadOptions{App: app})
	if err != nil || log.Epoch == 0 {
		return err
	}
	wanted := map[content][]*sdk.Entry{}
	for _, e := range entries {
		wanted[contentOf(e)] = append(wanted[contentOf(e)], e)
	}
	after := log.End()
	for next := true; len(entries) > 0; {
		if next { // all that was published at the moment of the first one, and after it
			after.Published, after.Entry = entries[0].Published.UnixNano()-1, math.MaxUint64
		}
		page, err := p.opts.Storage.Read(ctx, sdk.ReadOptions{App: app, Limit: lookUpPage, After: after})
		if err != nil {
			return err
		}
		n := len(page.Entries)
		if n == 0 || page.Epoch != log.Epoch || page.Entries[0].Position > log.Last {
			break // the log has nothing behind that moment
		}
		for i := range page.Entries {
			for _, e := range wanted[contentOf(&page.Entries[i])] {
				stored[e] = true
			}
		}
		// The page may end among entries of one moment, such as the records of one message.
		last := page.Entries[n-1].Published
		for len(entries) > 0 && entries[0].Published.Before(last) {
			entries = entries[1:]
		}
		after = after.At(&page.Entries[n-1])
		next = len(entries) > 0 && entries[0].Published.After(last)
	}
	return nil
}

// content holds what the entries made of one message have in common.
type content struct {
	published, time      int64
	source               sdk.Source
	pod, stream, message string
}

func contentOf(e *sdk.Entry) content {
	return content{e.Published.UnixNano(), e.Time.UnixNano(), e.Source, e.Pod, e.Stream, e.Message}
}
