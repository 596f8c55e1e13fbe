package many

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// Cursor holds a place in a stream of several apps: the place in the log of each of them. An app
// that the cursor does not know is at the beginning of its log. The zero Cursor knows none.
//
// Its text is an "m", the number of apps in two hexadecimal digits, and a part in base64 for each
// app, in the order of their names. A part takes whole groups of three bytes. Beside its own app's
// place and name, it depends only on the name of the app before it. So when an app's place changes,
// only its part is written again.
//
// A client that has an older cursor, and the places of some apps since then, may put them together:
// the cursor's text, and for each such app a comma, its name, an equals sign, and its place.
// ParseCursor reads that, too.
type Cursor struct {
	parts []part
	text  []byte
}

// part holds the place of one app.
type part struct {
	app   string
	place read.Place
	at    int // where its text begins in the cursor's text
}

const (
	// letter begins the text of a cursor. No cursor of one app begins with it.
	letter = "m"
	// head is the number of characters before the parts.
	head = len(letter) + 2
	// maxText bounds the text that is read, in bytes. The longest text of a cursor takes about half
	// of it: as many apps as there may be, with the longest names and with places that have
	// everything.
	maxText = 512 << 10
)

// These flags say what a part has beside the epoch and the position. They are in its first byte,
// with the number of characters that the app's name shares with the name before it.
const (
	inHistory = 1 << (4 + iota)
	hasN
	hasOf
	hasOpen
	sharedMost = 1<<4 - 1
)

var encoding = base64.RawURLEncoding

// Len returns how many apps the cursor knows.
func (c *Cursor) Len() int { return len(c.parts) }

// Apps returns the apps that the cursor knows, sorted.
func (c *Cursor) Apps() []string {
	apps := make([]string, len(c.parts))
	for i := range c.parts {
		apps[i] = c.parts[i].app
	}
	return apps
}

func (c *Cursor) find(app string) (int, bool) {
	return slices.BinarySearchFunc(c.parts, app, func(p part, app string) int { return cmp.Compare(p.app, app) })
}

// Place returns the app's place: the zero Place if the cursor does not know the app.
func (c *Cursor) Place(app string) read.Place {
	if i, found := c.find(app); found {
		return c.parts[i].place
	}
	return read.Place{}
}

// Set changes the app's place. At a place before everything, the cursor forgets the app.
func (c *Cursor) Set(app string, place read.Place) {
	i, found := c.find(app)
	none := place.IsZero() || place.Cursor == sdk.Beginning()
	switch {
	case none && !found:
		return
	case none:
		c.parts = slices.Delete(c.parts, i, i+1)
		c.write(i)
	case !found:
		c.parts = slices.Insert(c.parts, i, part{app: app, place: place})
		c.write(i)
	case c.parts[i].place != place:
		c.parts[i].place = place
		c.change(i)
	}
}

// change writes one part again, and the parts behind it if its length changed.
func (c *Cursor) change(i int) {
	var scratch [512]byte
	b := c.appendPart(scratch[:0], i)
	end := len(c.text)
	if i+1 < len(c.parts) {
		end = c.parts[i+1].at
	}
	if encoding.EncodedLen(len(b)) != end-c.parts[i].at {
		c.write(i)
		return
	}
	encoding.Encode(c.text[c.parts[i].at:end], b)
}

// write writes the parts again, beginning with the one before from.
func (c *Cursor) write(from int) {
	if from = max(0, from-1); len(c.parts) > 0 && from > 0 {
		c.text = c.text[:c.parts[from].at]
	} else {
		from, c.text = 0, append(c.text[:0], letter+"00"...)
	}
	hex.Encode(c.text[len(letter):], []byte{byte(len(c.parts))})
	var scratch [512]byte
	for i := from; i < len(c.parts); i++ {
		c.parts[i].at = len(c.text)
		c.text = encoding.AppendEncode(c.text, c.appendPart(scratch[:0], i))
	}
}

// appendPart appends the bytes of a part, padded to a multiple of three.
func (c *Cursor) appendPart(b []byte, i int) []byte {
	p, from, shared := &c.parts[i].place, len(b), 0
	app := c.parts[i].app
	if i > 0 {
		for before := c.parts[i-1].app; shared < min(len(app), len(before), sharedMost) && app[shared] == before[shared]; {
			shared++
		}
	}
	says := byte(shared)
	b = append(b, 0, byte(len(app)-shared))
	b = append(b, app[shared:]...)
	b = binary.BigEndian.AppendUint64(b, p.Epoch)
	b = binary.AppendUvarint(b, p.Position)
	if p.InHistory() {
		says |= inHistory
		b = binary.BigEndian.AppendUint64(b, uint64(p.Published))
		b = binary.AppendUvarint(b, p.Entry)
	}
	if p.N > 0 {
		says |= hasN
		b = binary.AppendUvarint(b, p.N)
	}
	if p.N > 0 && p.Of != 0 {
		says |= hasOf
		b = binary.BigEndian.AppendUint32(b, p.Of)
	}
	if p.Open != "" {
		says |= hasOpen
		b = binary.AppendUvarint(b, uint64(len(p.Open)))
		b = append(b, p.Open...)
	}
	b[from] = says
	for (len(b)-from)%3 != 0 {
		b = append(b, 0)
	}
	return b
}

// AppendText appends what String returns.
func (c *Cursor) AppendText(b []byte) []byte {
	if len(c.text) == 0 {
		return append(b, letter+"00"...)
	}
	return append(b, c.text...)
}

// TextLen returns how long the text is, in bytes.
func (c *Cursor) TextLen() int { return max(head, len(c.text)) }

// String returns the text that [ParseCursor] reads.
func (c *Cursor) String() string { return string(c.AppendText(nil)) }

// Floor returns the text of the same cursors, without what else their places have.
func (c *Cursor) Floor() string {
	var floor Cursor
	for i := range c.parts {
		floor.Set(c.parts[i].app, read.Place{Cursor: c.parts[i].place.Cursor})
	}
	return floor.String()
}

// Clone returns a copy that changes on its own.
func (c *Cursor) Clone() Cursor {
	return Cursor{parts: slices.Clone(c.parts), text: bytes.Clone(c.text)}
}

// ParseCursor reads what [Cursor.String] wrote, and places that a client put behind it. If an app
// has several places, the last one counts. Anything else is [sdk.ErrInvalid].
func ParseCursor(text string) (Cursor, error) {
	if len(text) > maxText {
		return Cursor{}, sdk.Refusef("cursor %.80q… is of %d bytes, want at most %d", text, len(text), maxText)
	}
	whole, places, more := strings.Cut(text, ",")
	c, err := parseWhole(whole)
	for more && err == nil {
		var one string
		one, places, more = strings.Cut(places, ",")
		app, at, _ := strings.Cut(one, "=")
		var place read.Place
		if err = sdk.CheckApp(app); err == nil {
			place, err = read.ParsePlace(at)
		}
		if err != nil || place.IsZero() || place.Context > 0 {
			return Cursor{}, sdk.Refusef("cursor: %.80q is not the name of an app, =, and the place of one of its entries", one)
		}
		if c.Set(app, place); c.Len() > MaxApps {
			return Cursor{}, sdk.Refusef("cursor %.80q… has the places of more than %d apps", text, MaxApps)
		}
	}
	return c, err
}

// parseWhole reads what [Cursor.String] wrote.
func parseWhole(text string) (Cursor, error) {
	var c Cursor
	ok := strings.HasPrefix(text, letter) && len(text) >= head
	var b []byte
	if ok {
		var err error
		b, err = encoding.DecodeString(text[head:])
		ok = err == nil
	}
	for before := ""; ok && len(b) > 0; {
		var p part
		if p, b, ok = parsePart(before, b); ok {
			ok = (before == "" || before < p.app) && len(c.parts) < MaxApps
			c.parts, before = append(c.parts, p), p.app
		}
	}
	if c.write(0); !ok || c.String() != text { // a text that is written differently is not ours
		return Cursor{}, sdk.Refusef("cursor %.80q is not one that this service gave out for several apps", text)
	}
	return c, nil
}

// parsePart reads the first part of b.
func parsePart(before string, b []byte) (p part, rest []byte, ok bool) {
	d := decoder{b: b}
	says, length := d.byte(), d.byte()
	shared := int(says & sharedMost)
	if shared > len(before) {
		return p, nil, false
	}
	p.app = before[:shared] + string(d.bytes(int(length)))
	p.place.Epoch, p.place.Position = d.uint64(), d.uvarint()
	if says&inHistory != 0 {
		p.place.Published, p.place.Entry = int64(d.uint64()), d.uvarint()
	}
	if says&hasN != 0 {
		p.place.N = d.uvarint()
	}
	if says&hasOf != 0 {
		p.place.Of = binary.BigEndian.Uint32(append(d.bytes(4), 0, 0, 0, 0))
	}
	if says&hasOpen != 0 {
		p.place.Open = string(d.bytes(int(min(d.uvarint(), maxText))))
	}
	for !d.failed && (len(b)-len(d.b))%3 != 0 {
		d.byte()
	}
	if d.failed || sdk.CheckApp(p.app) != nil || p.place.Cursor == sdk.Beginning() {
		return p, nil, false
	}
	same, err := read.ParsePlace(p.place.String())
	return p, d.b, err == nil && same == p.place && !same.IsZero()
}

// decoder reads bytes from the front. It has failed once there are too few.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.failed, d.b = true, nil
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}
