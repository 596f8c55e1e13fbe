package pipeline

import (
	"hash/maphash"
	"slices"

	"github.com/deis/logger/sdk"
)

// batches is the memory that grouping uses again and again.
type batches struct {
	apps  []string
	index []appSlot // a hash table, at most half full
	round uint32    // of the slots that count
	place []uint32  // of each entry's app among the batch's
	count []uint32  // entries of each app

	entries []sdk.Entry // of the batch, each app's side by side
	grouped []sdk.AppEntries
}

type appSlot struct {
	app   string
	round uint32
	place uint32
}

// leastIndex is a power of two, as is every size of the index.
const leastIndex = 256

// group makes a batch of the deliveries: by app, in order within each. It has no id
// yet, and is valid until release.
func (p *Pipeline) group(taken []delivery) sdk.Batch {
	g := &p.batches
	total := 0
	for i := range taken {
		total += len(taken[i].entries)
	}
	g.begin(total)
	for _, d := range taken {
		for i := range d.entries {
			place := g.find(d.entries[i].app)
			g.place = append(g.place, place)
			g.count[place]++
		}
	}
	// All entries side by side, each app's in a part of its own.
	all := slices.Grow(g.entries, total)[:total]
	g.entries = all
	b := sdk.Batch{Apps: slices.Grow(g.grouped, len(g.apps))}
	end := 0
	for i, app := range g.apps {
		start := end
		end += int(g.count[i])
		b.Apps = append(b.Apps, sdk.AppEntries{App: app, Entries: all[start:start:end]})
	}
	g.grouped = b.Apps
	n := 0
	for _, d := range taken {
		for i := range d.entries {
			to := &b.Apps[g.place[n]].Entries
			*to = append(*to, d.entries[i].entry)
			n++
		}
	}
	return b
}

// release lets go of the batch, which is stored.
func (g *batches) release() {
	if cap(g.entries) > 2*batchEntries {
		g.entries, g.grouped = nil, nil // a rare large one
		return
	}
	clear(g.entries)
	clear(g.grouped)
	g.entries, g.grouped = g.entries[:0], g.grouped[:0]
}

// begin forgets the batch before.
func (g *batches) begin(entries int) {
	clear(g.apps)
	g.apps, g.place, g.count = g.apps[:0], g.place[:0], g.count[:0]
	size := max(len(g.index), leastIndex)
	for size < 2*entries {
		size *= 2
	}
	g.round++
	if size > len(g.index) || g.round == 0 {
		g.index, g.round = make([]appSlot, size), 1
	}
}

// find is the place of the app, which is given one if it has none.
func (g *batches) find(app string) uint32 {
	mask := uint64(len(g.index) - 1)
	for at := maphash.String(seed, app); ; at++ {
		slot := &g.index[at&mask]
		switch {
		case slot.round != g.round:
			*slot = appSlot{app: app, round: g.round, place: uint32(len(g.apps))}
			g.apps = append(g.apps, app)
			g.count = append(g.count, 0)
			return slot.place
		case slot.app == app:
			return slot.place
		}
	}
}

// halve cuts a batch after so many entries, at least one. An app may have entries in
// both halves.
func halve(b sdk.Batch, n int) (first, second sdk.Batch) {
	for i := range b.Apps {
		a := b.Apps[i]
		k := min(n, len(a.Entries))
		n -= k
		if k > 0 {
			first.Apps = append(first.Apps, sdk.AppEntries{App: a.App, Entries: a.Entries[:k]})
		}
		if k < len(a.Entries) {
			second.Apps = append(second.Apps, sdk.AppEntries{App: a.App, Entries: a.Entries[k:]})
		}
	}
	return first, second
}
