package sdk

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
)

// This file writes the messages of logger.plugin.v1 that carry entries and raw
// messages: sizes first, then all at once into one buffer. What it writes is what
// protobuf would, and wire_test.go holds it to that.

// The wire types of protobuf, the low three bits of a tag.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireGroup   = 3
	wireEnd     = 4
	wireFixed32 = 5
)

// sizes are lengths that were counted before writing, in the order in which they
// are written.
type sizes []int

var sizesPool = sync.Pool{New: func() any { return new(sizes) }}

// take is the next length.
func (s *sizes) take() int {
	n := (*s)[0]
	*s = (*s)[1:]
	return n
}

// encodeBatch writes an AppendRequest, with or without labels that are those of the entry
// before. Text that is not valid UTF-8 is [ErrInvalid].
func encodeBatch(b *Batch, brief bool) (*encoded, error) {
	scratch := sizesPool.Get().(*sizes)
	defer sizesPool.Put(scratch)
	lengths := (*scratch)[:0]
	if !utf8.ValidString(b.ID.Writer) {
		return nil, fmt.Errorf("writer is not valid UTF-8: %w", ErrInvalid)
	}
	known := labels{brief: brief}
	total := sizeText(b.ID.Writer) + sizeUint(b.ID.Sequence)
	for i := range b.Apps {
		a := &b.Apps[i]
		if !utf8.ValidString(a.App) {
			return nil, fmt.Errorf("app name is not valid UTF-8: %w", ErrInvalid)
		}
		place := len(lengths)
		lengths = append(lengths, 0)
		group := sizeText(a.App)
		for j := range a.Entries {
			n, err := sizeEntry(&a.Entries[j], &known)
			if err != nil {
				return nil, fmt.Errorf("entry of %q: %w", a.App, err)
			}
			lengths = append(lengths, n)
			group += sizeNested(n)
		}
		lengths[place] = group
		total += sizeNested(group)
	}
	*scratch = lengths
	buf := buffers.Get(total)
	out := appendText((*buf)[:0], 1, b.ID.Writer)
	out = appendUint(out, 2, b.ID.Sequence)
	known = labels{brief: brief}
	for i := range b.Apps {
		a := &b.Apps[i]
		out = appendNested(out, 3, lengths.take())
		out = appendText(out, 1, a.App)
		for j := range a.Entries {
			out = appendNested(out, 2, lengths.take())
			out = appendEntry(out, &a.Entries[j], &known)
		}
	}
	return encodedIn(buf, out), nil
}

// encodePage writes a ReadResponse, or a FollowResponse around one. What is beyond
// size is left out, but for the first entry, and the page says that there is more; n
// is how many entries are in it.
func encodePage(p *Page, size int, follow bool) (e *encoded, n int, err error) {
	scratch := sizesPool.Get().(*sizes)
	defer sizesPool.Put(scratch)
	lengths := (*scratch)[:0]
	entries, more, body := p.Entries, p.More, 0
	var known labels
	for i := range entries {
		n, err := sizeEntry(&entries[i], &known)
		if err != nil {
			return nil, 0, fmt.Errorf("entry %d of the page: %w", i, err)
		}
		if body+sizeNested(n) > size && i > 0 {
			entries, more = entries[:i], true
			break
		}
		lengths = append(lengths, n)
		body += sizeNested(n)
	}
	*scratch = lengths
	if p.Epoch != 0 {
		body += 1 + 8
	}
	body += sizeUint(p.First)
	if more {
		body += 2
	}
	body += sizeUint(p.Oldest)
	total := body
	if follow {
		total = sizeNested(body)
	}
	buf := buffers.Get(total)
	out := (*buf)[:0]
	if follow {
		out = appendNested(out, 1, body)
	}
	if p.Epoch != 0 {
		out = binary.LittleEndian.AppendUint64(append(out, 1<<3|wireFixed64), p.Epoch)
	}
	out = appendUint(out, 2, p.First)
	known = labels{}
	for i := range entries {
		out = appendNested(out, 3, lengths.take())
		out = appendEntry(out, &entries[i], &known)
	}
	if more {
		out = append(out, 4<<3|wireVarint, 1)
	}
	out = appendUint(out, 5, p.Oldest)
	return encodedIn(buf, out), len(entries), nil
}

// encodeMessages writes a RunResponse. Text that is not valid UTF-8 is [ErrInvalid].
func encodeMessages(batch uint64, messages []Message) (*encoded, error) {
	scratch := sizesPool.Get().(*sizes)
	defer sizesPool.Put(scratch)
	lengths := (*scratch)[:0]
	total := sizeUint(batch)
	for i := range messages {
		n, err := sizeMessage(&messages[i])
		if err != nil {
			return nil, err
		}
		lengths = append(lengths, n)
		total += sizeNested(n)
	}
	*scratch = lengths
	buf := buffers.Get(total)
	out := appendUint((*buf)[:0], 1, batch)
	for i := range messages {
		out = appendNested(out, 2, lengths.take())
		out = appendMessage(out, &messages[i])
	}
	return encodedIn(buf, out), nil
}

// encodedIn wraps what was written to the pooled buffer.
func encodedIn(buf *[]byte, out []byte) *encoded {
	*buf = out
	return &encoded{mem.BufferSlice{mem.NewBuffer(buf, buffers)}}
}

// labels are the texts that the entries of one container have in common. They are written
// side by side, so that the same ones again are a copy, and are read by a comparison: most
// entries have those of the one before.
type labels struct {
	texts [5]string // as in labelsOf

	brief bool       // those that are the same again are left out, which the entry says
	some  sameLabels // which are not empty
	size  int        // of their wire form, if none are left out
	start int        // of it in what was written last
	wire  string     // it, where they were read from
}

const (
	firstLabel = 6 // the field of the first one; the others follow
	allLabels  = 1<<5 - 1
	sizeSame   = 2 // of the field that says which labels are left out
)

// labelsOf are the labels in the order of their fields, and of the bits of same_labels.
func labelsOf(e *Entry) [5]string {
	return [5]string{e.Process, e.Release, e.Pod, e.Stream, e.Host}
}

// are says whether the labels are the entry's. Of the zero value that is true of an entry that
// has none.
func (l *labels) are(e *Entry) bool {
	return l.texts[2] == e.Pod && l.texts[0] == e.Process && l.texts[1] == e.Release && l.texts[3] == e.Stream && l.texts[4] == e.Host
}

// take makes the labels those of the entry, and says which are to be left out, since they were
// those before: none of those that are empty.
func (l *labels) take(e *Entry) (same sameLabels) {
	for i, text := range labelsOf(e) {
		switch bit := sameLabels(1) << i; {
		case l.texts[i] == text:
			same |= l.some & bit
		case text == "":
			l.texts[i] = text
			l.some &^= bit
		default:
			l.texts[i] = text
			l.some |= bit
		}
	}
	if !l.brief {
		return 0
	}
	return same
}

// give is the opposite of take.
func (l *labels) give(e *Entry) {
	e.Process, e.Release, e.Pod, e.Stream, e.Host = l.texts[0], l.texts[1], l.texts[2], l.texts[3], l.texts[4]
}

// sizeEntry is the length of an Entry, without its tag and length. Known are the labels of
// the one before, and then its own.
func sizeEntry(e *Entry, known *labels) (int, error) {
	var size int
	switch {
	case !known.are(e):
		same := known.take(e)
		for i, text := range known.texts {
			if same>>i&1 != 0 {
				continue
			}
			if !utf8.ValidString(text) {
				return 0, e.Valid()
			}
			size += sizeText(text)
		}
		known.size = size
		if same != 0 {
			size += sizeSame
		}
	case !known.brief:
		size = known.size
	case known.some != 0:
		size = sizeSame
	}
	if !utf8.ValidString(e.Message) {
		return 0, e.Valid()
	}
	_, offset := e.Time.Zone()
	return sizeUint(uint64(e.Time.Unix())) +
		sizeUint(uint64(e.Time.Nanosecond())) +
		sizeUint(zigzag(offset)) +
		sizeUint(uint64(nanos(e.Published))) +
		sizeUint(uint64(e.Source)) +
		size +
		sizeText(e.Message) +
		sizeUint(e.CutBytes), nil
}

func appendEntry(b []byte, e *Entry, known *labels) []byte {
	_, offset := e.Time.Zone()
	b = appendUint(b, 1, uint64(e.Time.Unix()))
	b = appendUint(b, 2, uint64(e.Time.Nanosecond()))
	b = appendUint(b, 3, zigzag(offset))
	b = appendUint(b, 4, uint64(nanos(e.Published)))
	b = appendUint(b, 5, uint64(e.Source))
	var same sameLabels
	switch start := len(b); {
	case !known.are(e):
		same = known.take(e)
		for i, text := range known.texts {
			if same>>i&1 == 0 {
				b = appendText(b, firstLabel+byte(i), text)
			}
		}
		known.start, known.size = start, len(b)-start
	case known.brief:
		same = known.some
	default:
		b = append(b, b[known.start:known.start+known.size]...)
	}
	b = appendText(b, 11, e.Message)
	b = appendUint(b, 12, e.CutBytes)
	return appendUint(b, 13, uint64(same))
}

// sizeMessage is the length of a Message, without its tag and length.
func sizeMessage(m *Message) (int, error) {
	if !utf8.ValidString(m.ID) {
		return 0, fmt.Errorf("message id is not valid UTF-8: %w", ErrInvalid)
	}
	n := sizeText(m.ID) + sizeUint(uint64(nanos(m.Published))) + sizeUint(uint64(m.Attempts))
	if len(m.Payload) > 0 {
		n += sizeNested(len(m.Payload))
	}
	for key, value := range m.Attributes {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return 0, fmt.Errorf("attribute %q is not valid UTF-8: %w", key, ErrInvalid)
		}
		n += sizeNested(sizeNested(len(key)) + sizeNested(len(value)))
	}
	return n, nil
}

func appendMessage(b []byte, m *Message) []byte {
	b = appendText(b, 1, m.ID)
	if len(m.Payload) > 0 {
		b = append(appendNested(b, 2, len(m.Payload)), m.Payload...)
	}
	b = appendUint(b, 3, uint64(nanos(m.Published)))
	b = appendUint(b, 4, uint64(m.Attempts))
	for key, value := range m.Attributes { // both fields are always there
		b = appendNested(b, 5, sizeNested(len(key))+sizeNested(len(value)))
		b = append(appendNested(b, 1, len(key)), key...)
		b = append(appendNested(b, 2, len(value)), value...)
	}
	return b
}

// All field numbers here are below 16, so that a tag takes one byte. A field that
// has its zero value is left out.

func sizeVarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func sizeUint(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + sizeVarint(v)
}

func sizeNested(length int) int { return 1 + sizeVarint(uint64(length)) + length }

func sizeText(s string) int {
	if s == "" {
		return 0
	}
	return sizeNested(len(s))
}

func appendUint(b []byte, field byte, v uint64) []byte {
	if v == 0 {
		return b
	}
	return binary.AppendUvarint(append(b, field<<3|wireVarint), v)
}

func appendNested(b []byte, field byte, length int) []byte {
	return binary.AppendUvarint(append(b, field<<3|wireBytes), uint64(length))
}

func appendText(b []byte, field byte, s string) []byte {
	if s == "" {
		return b
	}
	return append(appendNested(b, field, len(s)), s...)
}

// zigzag is how a sint32 is written.
func zigzag(v int) uint64 { return uint64(uint32(int32(v)<<1) ^ uint32(int32(v)>>31)) }

// nanos is t in nanoseconds since the Unix epoch, 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
