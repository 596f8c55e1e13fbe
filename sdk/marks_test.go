package sdk

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
)

func TestMarks(t *testing.T) {
	var m Marks
	id := func(writer string, sequence uint64) BatchID { return BatchID{Writer: writer, Sequence: sequence} }
	if m.Stored(id("a", 0)) || m.Stored(id("", 0)) {
		t.Error("empty marks know a batch")
	}
	m.Add(id("a", 5))
	m.Add(id("b", math.MaxUint64))
	m.Add(id("a", 3)) // comes late, and must not lower the mark
	for _, tc := range []struct {
		id   BatchID
		want bool
	}{{id("a", 5), true}, {id("a", 4), true}, {id("a", 6), false}, {id("b", math.MaxUint64), true}, {id("c", 1), false}} {
		if m.Stored(tc.id) != tc.want {
			t.Errorf("%v: stored %v, want %v", tc.id, !tc.want, tc.want)
		}
	}
	for i := range MarkedWriters - 1 {
		m.Add(id(fmt.Sprint(i), 1))
	}
	m.Add(id("a", 7))
	if !m.Stored(id("a", 7)) || len(m.writers) != MarkedWriters {
		t.Errorf("%d writers are held", len(m.writers))
	}
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var back Marks
	if err := back.UnmarshalBinary(b); err != nil || fmt.Sprint(back) != fmt.Sprint(m) {
		t.Errorf("read back: %v, %v, want %v", back, err, m)
	}
	if err := back.UnmarshalBinary(nil); err != nil || len(back.writers) != 0 {
		t.Errorf("no bytes: %v, %v", back, err)
	}
}

func TestMarksForgetTheWriterThatStoredLeastRecently(t *testing.T) {
	var m Marks
	for i := range MarkedWriters {
		m.Add(BatchID{Writer: fmt.Sprint(i), Sequence: 1})
	}
	m.Add(BatchID{Writer: "0", Sequence: 2}) // so it counts as used
	m.Add(BatchID{Writer: "new", Sequence: 1})
	if !m.Stored(BatchID{Writer: "0", Sequence: 2}) || m.Stored(BatchID{Writer: "1", Sequence: 1}) {
		t.Errorf("got %v", m)
	}
}

func FuzzMarks(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 1, 'a', 5})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Marks
		if err := m.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, ErrInvalid) || len(m.writers) > 0 {
				t.Errorf("%v leaves %v", err, m)
			}
			return
		}
		again, _ := m.MarshalBinary()
		var back Marks
		if err := back.UnmarshalBinary(again); err != nil || fmt.Sprint(back) != fmt.Sprint(m) {
			t.Errorf("%x becomes %x, %v", b, again, err)
		}
		if twice, _ := back.MarshalBinary(); !bytes.Equal(again, twice) {
			t.Errorf("%x, then %x", again, twice)
		}
	})
}
