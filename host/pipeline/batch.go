package pipeline

import (
	"slices"

	"github.com/deis/logger/sdk"
)

// group makes a batch of the deliveries. The entries of each app are in the order of publishing,
// and those of the same time in the order of arrival. The batch uses the memory of an earlier one,
// and has no id yet.
func group(taken []delivery, memory *[]sdk.Entry) sdk.Batch {
	byApp := make(map[string][]*sdk.Entry)
	total := 0
	for _, d := range taken {
		total += len(d.entries)
		for i := range d.entries {
			e := &d.entries[i]
			byApp[e.app] = append(byApp[e.app], &e.entry)
		}
	}
	entries := slices.Grow((*memory)[:0], total) // those of each app side by side
	*memory = entries[:total]
	apps := make([]sdk.AppEntries, 0, len(byApp))
	for app, list := range byApp {
		slices.SortStableFunc(list, byPublished)
		start := len(entries)
		for _, e := range list {
			entries = append(entries, *e)
		}
		apps = append(apps, sdk.AppEntries{App: app, Entries: entries[start:len(entries):len(entries)]})
	}
	return sdk.Batch{Apps: apps}
}

func byPublished(a, b *sdk.Entry) int { return a.Published.Compare(b.Published) }

// halve cuts a batch behind its first n entries, at least one. An app may have entries in both
// halves.
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
