package sdk

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Cursor names a place in one app's log. A plain cursor has a position: its reader has seen every
// entry up to it. Within a history, which is read in the order of publishing, a cursor has a place
// in that order too. Of the entries up to Position, its reader has then seen only those at the
// place or before it.
//
// A cursor is opaque text to everyone but storages and this package. The zero Cursor names no
// place.
type Cursor struct {
	// Epoch names one life of the log. It is never 0 in a cursor that names a place. A log that is
	// lost, or deleted and begun again, gets another epoch.
	Epoch uint64
	// Position is 1 for the first entry of the epoch and rises by one per entry.
	Position uint64
	// Published and Entry are a place in the order of publishing: an entry's publish time, in
	// nanoseconds since the Unix epoch, and its position. Both are 0 in a plain cursor.
	Published int64
	Entry     uint64
}

// Beginning returns a cursor before everything in any log, even in one that has not begun:
// everything that is kept arrived after it.
func Beginning() Cursor { return Cursor{Epoch: math.MaxUint64} }

// IsZero reports whether the cursor names no place.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// InHistory reports whether the cursor has a place in the order of publishing.
func (c Cursor) InHistory() bool { return c.Published != 0 || c.Entry != 0 }

// Plain returns the cursor without its place in the order of publishing. A reader that has read the
// whole history goes on from there.
func (c Cursor) Plain() Cursor { return Cursor{Epoch: c.Epoch, Position: c.Position} }

// HistoryBegin returns the cursor before the first entry of a history. c is the cursor at the end
// of that history.
func (c Cursor) HistoryBegin() Cursor {
	return Cursor{Epoch: c.Epoch, Position: c.Position, Published: math.MinInt64}
}

// At returns the cursor just after e in a history. c is the cursor at the end of that history.
func (c Cursor) At(e *Entry) Cursor {
	c.Published, c.Entry = nanos(e.Published), e.Position
	return c
}

// Precedes reports whether the cursor's place comes before the entry in the order of publishing.
func (c Cursor) Precedes(e *Entry) bool {
	at := nanos(e.Published)
	return at > c.Published || at == c.Published && e.Position > c.Entry
}

// String returns the text form, which [ParseCursor] reads: sixteen hexadecimal digits,
// a dash, and the position in decimal; within a history two more numbers. The zero Cursor
// is the empty string.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	return string(c.AppendText(make([]byte, 0, 64)))
}

// AppendText appends what String returns.
func (c Cursor) AppendText(b []byte) []byte {
	if c.IsZero() {
		return b
	}
	b = appendHex(b, c.Epoch)
	b = strconv.AppendUint(append(b, '-'), c.Position, 10)
	if c.InHistory() {
		b = appendHex(append(b, '-'), uint64(c.Published))
		b = strconv.AppendUint(append(b, '-'), c.Entry, 10)
	}
	return b
}

func appendHex(b []byte, n uint64) []byte {
	var word [8]byte
	binary.BigEndian.PutUint64(word[:], n)
	return hex.AppendEncode(b, word[:])
}

// ParseCursor reads what [Cursor.String] wrote. It fails with [ErrInvalid] for anything else.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	var c Cursor
	var published uint64
	parts := strings.Split(s, "-")
	ok := len(parts) == 2 || len(parts) == 4
	parse := func(i, base int, to *uint64) {
		if ok && i < len(parts) {
			n, err := strconv.ParseUint(parts[i], base, 64)
			*to, ok = n, err == nil
		}
	}
	parse(0, 16, &c.Epoch)
	parse(1, 10, &c.Position)
	parse(2, 16, &published)
	parse(3, 10, &c.Entry)
	c.Published = int64(published)
	if !ok || c.Epoch == 0 || c.String() != s {
		return Cursor{}, fmt.Errorf("cursor %.80q is not one that this service gave out: %w", s, ErrInvalid)
	}
	return c, nil
}
