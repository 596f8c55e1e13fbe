package sdk

import (
	"cmp"
	"slices"
)

// Answer makes the page that answers opts. Kept has all entries that are kept of the log, in any
// order; Answer sorts it. It is for storages that have all entries at hand. Others should read only
// what opts asks for.
func Answer(epoch, last uint64, kept []Entry, opts ReadOptions) Page {
	page := Page{Epoch: epoch, Last: last}
	inHistory := opts.After.InHistory() && opts.After.Epoch == epoch
	var entries []Entry
	switch {
	case opts.After.IsZero():
		slices.SortFunc(kept, byPublishing)
		entries = kept
		if before := opts.Before; before.Epoch == epoch && !before.IsZero() {
			entries = slices.DeleteFunc(slices.Clone(kept), func(e Entry) bool {
				return e.Position > before.Position || before.InHistory() && (e.Position == before.Entry || before.Precedes(&e))
			})
		}
		if opts.Limit >= 0 && len(entries) > opts.Limit {
			entries = entries[len(entries)-opts.Limit:]
		}
		page.Entries = slices.Clone(entries)
		return page
	case inHistory:
		slices.SortFunc(kept, byPublishing)
		for i := range kept {
			if kept[i].Position <= opts.After.Position && opts.After.Precedes(&kept[i]) {
				entries = append(entries, kept[i])
			}
		}
	}
	if len(entries) == 0 {
		slices.SortFunc(kept, func(a, b Entry) int { return cmp.Compare(a.Position, b.Position) })
		for i := range kept {
			if opts.After.Epoch != epoch || kept[i].Position > opts.After.Position {
				entries = append(entries, kept[i])
			}
		}
	}
	if opts.Limit >= 0 && len(entries) > opts.Limit {
		entries = entries[:opts.Limit]
	}
	page.Entries = slices.Clone(entries)
	return page
}

func byPublishing(a, b Entry) int {
	if c := a.Published.Compare(b.Published); c != 0 {
		return c
	}
	return cmp.Compare(a.Position, b.Position)
}
