package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
)

func identified(n int) *sdk.Message {
	return &sdk.Message{ID: fmt.Sprintf("%016x", n), Published: time.Unix(1, 0)}
}

func TestRecentIDsTellMessagesApart(t *testing.T) {
	r := newRecentIDs()
	isNew := func(m *sdk.Message) bool {
		_, fresh := r.add(m)
		return fresh
	}
	for n := range 4 * buckets {
		if !isNew(identified(n)) {
			t.Fatalf("message %d is taken for a copy", n)
		}
	}
	another := identified(4*buckets - 1)
	another.Published = another.Published.Add(1)
	if !isNew(another) {
		t.Error("another queue's message of the same id is taken for a copy")
	}
	for range 2 {
		if !isNew(&sdk.Message{}) {
			t.Error("a message without an id is taken for a copy")
		}
	}
	for _, id := range []string{"a", "b", "partition 7, offset 1234567890", "partition 7, offset 1234567891"} {
		if m := (&sdk.Message{ID: id}); !isNew(m) || isNew(m) {
			t.Errorf("an id of %d bytes is not told apart", len(id))
		}
	}
}

// TestRecentIDsAreRemembered counts ids that are forgotten too early.
func TestRecentIDsAreRemembered(t *testing.T) {
	r := newRecentIDs()
	const before = 1 << 19
	for n := range before {
		r.add(identified(n))
	}
	for _, c := range []struct{ since, most int }{
		{2500, 0},     // as many as an NSQ has in flight
		{1 << 16, 3},  // 0.1 expected
		{1 << 17, 60}, // 19 expected
	} {
		forgotten := 0
		for n := before - c.since; n < before; n++ {
			m := r.mark(identified(n))
			if !slices.Contains(r.table[m.bucket][:], m.bits) {
				forgotten++
			}
		}
		if forgotten > c.most {
			t.Errorf("of the newest %d messages %d are forgotten, want %d at most", c.since, forgotten, c.most)
		}
	}
}

// TestRecentIDsKeepTrack compares with a list for each bucket, while messages come again, are given
// back and are forgotten.
func TestRecentIDsKeepTrack(t *testing.T) {
	r := newRecentIDs()
	known := map[int][]int{} // the messages of each bucket, oldest first; -1 was given back
	var added []int
	random := rand.New(rand.NewPCG(1, 2))
	crowded := 0
	for step := range 12 * buckets {
		n := random.IntN(8 * buckets)
		mark := r.mark(identified(n))
		bucket := int(mark.bucket)
		remembered := slices.Contains(known[bucket], n)
		got, fresh := r.add(identified(n))
		if fresh == remembered || fresh && got != mark || !fresh && got != (idMark{}) {
			t.Fatalf("step %d: message %d: new %t under %v, remembered %t as %v", step, n, fresh, got, remembered, mark)
		}
		if fresh {
			known[bucket] = append(known[bucket], n)
			if len(known[bucket]) > bucketMarks {
				known[bucket] = known[bucket][1:]
				crowded++
			}
			added = append(added, n)
		}
		if random.IntN(10) == 0 {
			back := added[random.IntN(len(added))]
			m := r.mark(identified(back))
			r.forget(m)
			if i := slices.Index(known[int(m.bucket)], back); i >= 0 {
				known[int(m.bucket)][i] = -1
			}
			r.forget(idMark{})
		}
	}
	if crowded < buckets/10 {
		t.Errorf("only %d buckets were full", crowded)
	}
}
