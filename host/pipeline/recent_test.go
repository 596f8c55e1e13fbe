package pipeline

import (
	"fmt"
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
	for n := range 4 * remembered {
		if !isNew(identified(n)) {
			t.Fatalf("message %d is taken for a copy", n)
		}
	}
	another := identified(4*remembered - 1)
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

// TestRecentIDsAreRemembered at whatever moment one looks, and are not remembered for ever.
func TestRecentIDsAreRemembered(t *testing.T) {
	for _, before := range []int{remembered, remembered + 1, remembered * 3 / 2, 5*remembered - 1} {
		r := newRecentIDs()
		for n := range before {
			r.add(identified(n))
		}
		for n := before - remembered; n < before; n++ {
			if _, fresh := r.add(identified(n)); fresh {
				t.Fatalf("of %d messages number %d is forgotten", before, n)
			}
		}
		if most := len(r.young) + len(r.old); most > 2*remembered {
			t.Errorf("%d messages are remembered after %d", most, before)
		}
	}
}

// TestRecentIDsOfWhatWentBack forgets messages of both generations.
func TestRecentIDsOfWhatWentBack(t *testing.T) {
	r := newRecentIDs()
	marks := make([]idMark, remembered*3/2)
	for n := range marks {
		marks[n], _ = r.add(identified(n))
	}
	for _, n := range []int{0, remembered - 1, remembered, len(marks) - 1} {
		r.forget(marks[n])
		r.forget(idMark{})
		if _, fresh := r.add(identified(n)); !fresh {
			t.Errorf("message %d is still remembered", n)
		}
		if _, fresh := r.add(identified(n)); fresh {
			t.Errorf("message %d is not remembered again", n)
		}
	}
}
