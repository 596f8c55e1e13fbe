package pipeline

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
)

func identified(n int) *sdk.Message {
	return &sdk.Message{ID: fmt.Sprintf("%016x", n), Published: time.Unix(1, 0)}
}

func TestRecentIDsForgetTheOldest(t *testing.T) {
	r := newRecentIDs()
	isNew := func(m *sdk.Message) bool {
		_, fresh := r.add(m)
		return fresh
	}
	for n := range 3 * window {
		if !isNew(identified(n)) {
			t.Fatalf("message %d is taken for a copy", n)
		}
	}
	if isNew(identified(2 * window)) {
		t.Error("an id within the window is taken for new")
	}
	if !isNew(identified(0)) || !isNew(identified(2*window)) {
		t.Error("an id beyond the window is remembered")
	}
	another := identified(3*window - 1)
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

// TestRecentIDsKeepTrack compares with a map, while messages come again, go back and
// are forgotten.
func TestRecentIDsKeepTrack(t *testing.T) {
	r := newRecentIDs()
	known := map[int]uint64{} // the number of each message that is remembered
	var order []int           // of those that were added, forgotten ones included
	random := rand.New(rand.NewPCG(1, 2))
	for step := range 5 * window {
		n := random.IntN(window + window/8)
		number, fresh := r.add(identified(n))
		before, remembered := known[n]
		if fresh == remembered {
			t.Fatalf("step %d: message %d: new %t, remembered %t as %d", step, n, fresh, remembered, before)
		}
		if fresh {
			known[n] = number
			order = append(order, n)
			if len(order) > window {
				if oldest := order[len(order)-window-1]; known[oldest] == number-window {
					delete(known, oldest)
				}
			}
		}
		if random.IntN(10) == 0 && len(order) > 0 {
			back := order[max(0, len(order)-1-random.IntN(2*window))]
			if was, ok := known[back]; ok {
				r.forget(was)
				r.forget(was)
				delete(known, back)
			}
		}
	}
	entries := 0
	for _, e := range r.table {
		if e != 0 {
			entries++
		}
	}
	if entries != len(known) {
		t.Errorf("%d ids are found, want %d", entries, len(known))
	}
}

func TestForgettingIsForOneMessage(t *testing.T) {
	r := newRecentIDs()
	number, _ := r.add(identified(0))
	for n := range window {
		r.add(identified(1 + n)) // the last takes the place of the first
	}
	r.forget(number)
	r.forget(unnumbered)
	if _, fresh := r.add(identified(window)); fresh {
		t.Error("the message in the place of one that was forgotten is gone")
	}
}

// TestRecentIDsOfOneHash has a message take the place in the ring of one that has the
// same hash, so that the table moves up just where it goes.
func TestRecentIDsOfOneHash(t *testing.T) {
	r := newRecentIDs()
	same := func(n uint64) *sdk.Message {
		id := binary.LittleEndian.AppendUint64(nil, r.keys[0]) // makes the low half count for nothing
		return &sdk.Message{ID: string(binary.LittleEndian.AppendUint64(id, n)), Published: time.Unix(1, 0)}
	}
	const colliding = 10
	for n := range uint64(colliding) {
		r.add(same(n))
	}
	for n := range window - colliding {
		r.add(identified(n))
	}
	for n := range uint64(3) {
		if _, fresh := r.add(same(colliding + n)); !fresh {
			t.Fatalf("message %d is taken for a copy", colliding+n)
		}
		for known := n + 1; known <= colliding+n; known++ {
			if _, fresh := r.add(same(known)); fresh {
				t.Fatalf("message %d is not known any more", known)
			}
		}
	}
}
