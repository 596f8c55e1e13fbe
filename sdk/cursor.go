package sdk

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Cursor is a place in one app's log: just after the entry at Position. It is
// opaque text to everyone but the storage and this package. The zero Cursor names
// no place.
type Cursor struct {
	// Epoch is one life of the log; never 0 in a cursor that names a place. A log
	// deleted and begun again, or lost, has another epoch.
	Epoch uint64
	// Position is 1 for the first entry of the epoch and rises by one per entry.
	Position uint64
}

// IsZero says that the cursor names no place.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// String is the text form, which [ParseCursor] reads: sixteen hexadecimal digits,
// a dash, and the position in decimal. The zero Cursor is the empty string.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	var epoch [8]byte
	binary.BigEndian.PutUint64(epoch[:], c.Epoch)
	b := hex.AppendEncode(make([]byte, 0, 40), epoch[:])
	b = append(b, '-')
	return string(strconv.AppendUint(b, c.Position, 10))
}

// ParseCursor reads what [Cursor.String] wrote. Anything else is [ErrInvalid].
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	epoch, position, ok := strings.Cut(s, "-")
	var c Cursor
	if ok && len(epoch) == 16 {
		b, err := hex.DecodeString(epoch)
		if err == nil {
			c.Epoch = binary.BigEndian.Uint64(b)
		}
		c.Position, err = strconv.ParseUint(position, 10, 64)
		if err == nil && c.Epoch != 0 && c.String() == s {
			return c, nil
		}
	}
	return Cursor{}, fmt.Errorf("cursor %.80q is not one that this service gave out: %w", s, ErrInvalid)
}
