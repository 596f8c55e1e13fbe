package read

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/deis/logger/sdk"
)

// Place tells where a client stopped reading: a cursor, with what it takes to tell exactly how many
// lines are missing from there on. Clients send its text back as it is.
type Place struct {
	sdk.Cursor
	// N counts lines behind the cursor. Inside a history it counts the lines of the history that
	// are left; 0 means that their number is not known. Elsewhere it counts the missing lines
	// behind the cursor that were reported already.
	N uint64
	// Of identifies the filter that the lines of a history passed; 0 is no filter. To a reader with
	// another filter, N says nothing.
	Of uint32
	// Open lists the positions of the first pieces of the lines that are open here, with dots
	// between. Such a line is shown when its last piece comes.
	Open string
	// Context counts the lines behind the place that are still the context of a line before it, for
	// a reader who wants the lines around some.
	Context uint8
}

// String returns the text that [ParsePlace] reads: the cursor's text, and what there is of the
// rest. N follows a tilde, Of a dot (in eight hexadecimal digits, and only behind N), Open an
// underscore, and Context a colon.
func (p Place) String() string {
	return string(p.AppendText(make([]byte, 0, 80)))
}

// AppendText appends what String returns.
func (p Place) AppendText(b []byte) []byte {
	b = p.Cursor.AppendText(b)
	if p.N > 0 {
		b = strconv.AppendUint(append(b, '~'), p.N, 10)
	}
	if p.N > 0 && p.Of != 0 {
		b = fmt.Appendf(b, ".%08x", p.Of)
	}
	if p.Open != "" {
		b = append(append(b, '_'), p.Open...)
	}
	if p.Context > 0 {
		b = strconv.AppendUint(append(b, ':'), uint64(p.Context), 10)
	}
	return b
}

// ParsePlace reads what [Place.String] wrote. Anything else is [sdk.ErrInvalid].
func ParsePlace(text string) (p Place, err error) {
	rest, context, _ := strings.Cut(text, ":")
	rest, open, _ := strings.Cut(rest, "_")
	cursor, number, _ := strings.Cut(rest, "~")
	number, of, _ := strings.Cut(number, ".")
	p.Cursor, err = sdk.ParseCursor(cursor)
	// A number that is malformed or too large fails below: it is written differently.
	p.N, _ = strconv.ParseUint(number, 10, 63) // sums of two do not overflow
	filter, _ := strconv.ParseUint(of, 16, 32)
	around, _ := strconv.ParseUint(context, 10, 8)
	p.Of, p.Context, p.Open = uint32(filter), uint8(around), open
	first := p.open()
	bad := open != "" && (p.IsZero() || len(first) > mostOpen || slices.Contains(first, 0))
	if err != nil || bad || p.String() != text {
		return Place{}, sdk.Refusef("cursor %.80q is not one that this service gave out", text)
	}
	return p, nil
}

// open returns Open as numbers. 0 stands for what is not a number.
func (p Place) open() (first []uint64) {
	for text := range strings.SplitSeq(p.Open, ".") {
		n, _ := strconv.ParseUint(text, 10, 64)
		first = append(first, n)
	}
	return first
}

// begins returns the cursor just before the entry at which a cursor inside a history stands.
func begins(at sdk.Cursor) sdk.Cursor {
	at.Entry--
	if !at.InHistory() {
		at.Published = math.MinInt64 // the entry is the first there can be
	}
	return at
}
