package pipeline

import (
	"testing"

	"github.com/deis/logger/sdk"
)

// TestBatchesKeepNothing: the memory of a stored batch holds on to no text, and a rare large
// one is not kept at all.
func TestBatchesKeepNothing(t *testing.T) {
	p := &Pipeline{}
	for _, n := range []int{1, 100, 2 * batchEntries, 2*batchEntries + 1000} {
		d := delivery{}
		for i := range n {
			d.entries = append(d.entries, appEntry{app: string(rune('a' + i%7)), entry: sdk.Entry{Message: "text", Pod: "pod"}})
		}
		b := p.group([]delivery{d})
		if b.Len() != n || len(b.Apps) != min(n, 7) {
			t.Fatalf("a batch of %d entries over %d apps, want %d", b.Len(), len(b.Apps), n)
		}
		p.batches.release()
		if most := cap(p.batches.entries); most > 2*batchEntries {
			t.Errorf("after a batch of %d entries there is room for %d", n, most)
		}
		for _, e := range p.batches.entries[:cap(p.batches.entries)] {
			if e != (sdk.Entry{}) {
				t.Fatalf("after a batch of %d entries there is %+v", n, e)
			}
		}
		for _, a := range p.batches.grouped[:cap(p.batches.grouped)] {
			if a.App != "" || a.Entries != nil {
				t.Fatalf("after a batch of %d entries there is %+v", n, a)
			}
		}
	}
}
