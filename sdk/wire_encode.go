package sdk

import (
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// This file writes the messages of logger.plugin.v1 that carry entries and raw
// messages: sizes first, then all at once into one buffer. What it writes is what
// protobuf would, and wire_test.go holds it to that.

// sizes holds lengths that were counted before writing, in the order in which they are written.
type sizes []int

var sizesPool = sync.Pool{New: func() any { return new(sizes) }}

// take returns the next length.
func (s *sizes) take() int {
	n := (*s)[0]
	*s = (*s)[1:]
	return n
}

// encodeBatch writes an AppendRequest. Text that is not valid UTF-8 is [ErrInvalid].
func encodeBatch(b *Batch) (*encoded, error) {
	scratch := sizesPool.Get().(*sizes)
	defer sizesPool.Put(scratch)
	lengths := (*scratch)[:0]
	if !utf8.ValidString(b.ID.Writer) {
		return nil, fmt.Errorf("writer is not valid UTF-8: %w", ErrInvalid)
	}
	total := sizeText(b.ID.Writer) + sizeUint(b.ID.Sequence)
	for i := range b.Apps {
		a := &b.Apps[i]
		if !utf8.ValidString(a.App) {
			return nil, fmt.Errorf("app name is not valid UTF-8: %w", ErrInvalid)
		}
		place := len(lengths)
		lengths = append(lengths, 0)
		group := sizeText(a.App)
		var known labels
		for j := range a.Entries {
			n, err := sizeEntry(&a.Entries[j], a.Entries[j].Message, 0, &known)
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
	for i := range b.Apps {
		a := &b.Apps[i]
		out = appendNested(out, 3, lengths.take())
		out = appendText(out, 1, a.App)
		var known labels
		for j := range a.Entries {
			out = appendNested(out, 2, lengths.take())
			out = appendEntry(out, &a.Entries[j], a.Entries[j].Message, 0, &known)
		}
	}
	return encodedIn(buf, out), nil
}

// jumps gives the value of Entry.jump for each entry of a page in turn.
type jumps struct{ next uint64 }

func (j *jumps) of(position uint64) int64 {
	jump := int64(position - j.next)
	j.next = position + 1
	return jump
}

// encodePage writes a ReadResponse, or a FollowResponse around one. It may leave the messages out.
func encodePage(p *Page, follow, omitMessages bool) (*encoded, error) {
	scratch := sizesPool.Get().(*sizes)
	defer sizesPool.Put(scratch)
	lengths := (*scratch)[:0]
	body, first := 0, uint64(0)
	if len(p.Entries) > 0 {
		first = p.Entries[0].Position
	}
	var known labels
	positions := jumps{first}
	message := func(e *Entry) string {
		if omitMessages {
			return ""
		}
		return e.Message
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		n, err := sizeEntry(e, message(e), positions.of(e.Position), &known)
		if err != nil {
			return nil, fmt.Errorf("entry %d of the page: %w", i, err)
		}
		lengths = append(lengths, n)
		body += sizeNested(n)
	}
	*scratch = lengths
	body += sizeFixed(p.Epoch) + sizeUint(first) + sizeUint(p.Last) + sizeUint(p.Gone) + sizeFixed(p.Version) +
		sizeUint(uint64(p.Work))
	if p.More {
		body += 2
	}
	if !p.Next.IsZero() {
		body += sizeNested(sizeCursor(p.Next))
	}
	total := body
	if follow {
		total = sizeNested(body)
	}
	buf := buffers.Get(total)
	out := (*buf)[:0]
	if follow {
		out = appendNested(out, 1, body)
	}
	out = appendFixed(out, 1, p.Epoch)
	out = appendUint(out, 2, first)
	known, positions = labels{}, jumps{first}
	for i := range p.Entries {
		e := &p.Entries[i]
		out = appendNested(out, 3, lengths.take())
		out = appendEntry(out, e, message(e), positions.of(e.Position), &known)
	}
	if p.More {
		out = appendUint(out, 4, 1)
	}
	out = appendUint(out, 5, p.Last)
	if !p.Next.IsZero() {
		out = appendNested(out, 6, sizeCursor(p.Next))
		out = appendCursor(out, p.Next)
	}
	out = appendUint(out, 7, p.Gone)
	out = appendFixed(out, 8, p.Version)
	out = appendUint(out, 9, uint64(p.Work))
	return encodedIn(buf, out), nil
}

func sizeCursor(c Cursor) int {
	return sizeFixed(c.Epoch) + sizeUint(c.Position) + sizeUint(uint64(c.Published)) + sizeUint(c.Entry)
}

func appendCursor(b []byte, c Cursor) []byte {
	b = appendFixed(b, 1, c.Epoch)
	b = appendUint(b, 2, c.Position)
	b = appendUint(b, 3, uint64(c.Published))
	return appendUint(b, 4, c.Entry)
}

// cut shortens a page, which is complete and answers opts, to about size bytes of wire form. In a
// page of the newest entries the oldest leave, in others the last. At least one entry stays. Next
// and More are set to match.
func (p *Page) cut(opts *ReadOptions, size int) {
	newest := opts.After.IsZero()
	total := 0
	for i := range p.Entries {
		e := &p.Entries[i]
		if newest {
			e = &p.Entries[len(p.Entries)-1-i]
		}
		total += 32 + len(e.Message) + len(e.Process) + len(e.Release) + len(e.Pod) + len(e.Stream) + len(e.Host) + len(e.Container)
		if total <= size || i == 0 {
			continue
		}
		p.More, p.Next = true, Cursor{}
		if newest {
			p.Entries = p.Entries[len(p.Entries)-i:]
		} else {
			p.Entries = p.Entries[:i]
		}
		p.complete(opts)
		return
	}
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

// labels holds the texts that the entries of one container have in common. Most entries have those
// of the entry before. They stand side by side on the wire, so that the same ones are written by
// one copy and read by one comparison.
type labels struct {
	texts [6]string // in the order of their fields

	size  int    // of their wire form
	start int    // where that begins in what was written last
	wire  string // that form, where they were read from
}

// firstLabel is the field of the first label; the others follow.
const firstLabel = 6

// are reports whether the labels are the entry's. Those of the zero value are empty.
func (l *labels) are(e *Entry) bool {
	return l.texts[2] == e.Pod && l.texts[0] == e.Process && l.texts[1] == e.Release && l.texts[3] == e.Stream &&
		l.texts[4] == e.Host && l.texts[5] == e.Container
}

// take makes the labels those of the entry.
func (l *labels) take(e *Entry) {
	l.texts = [6]string{e.Process, e.Release, e.Pod, e.Stream, e.Host, e.Container}
}

// give does the opposite of take.
func (l *labels) give(e *Entry) {
	e.Process, e.Release, e.Pod, e.Stream, e.Host, e.Container = l.texts[0], l.texts[1], l.texts[2], l.texts[3], l.texts[4], l.texts[5]
}

// sizeEntry returns the length of an Entry with that message, without its tag and length. Known has
// the labels of the entry before, and afterwards its own.
func sizeEntry(e *Entry, message string, jump int64, known *labels) (int, error) {
	if !known.are(e) {
		known.take(e)
		known.size = 0
		for _, text := range known.texts {
			if !utf8.ValidString(text) {
				return 0, e.Valid()
			}
			known.size += sizeText(text)
		}
	}
	if !utf8.ValidString(message) {
		return 0, e.Valid()
	}
	_, offset := e.Time.Zone()
	return sizeUint(uint64(e.Time.Unix())) +
		sizeUint(uint64(e.Time.Nanosecond())) +
		sizeUint(protowire.EncodeZigZag(int64(offset))) +
		sizeUint(uint64(nanos(e.Published))) +
		sizeUint(uint64(e.Source)) +
		known.size +
		sizeText(message) +
		sizeUint(e.CutBytes) +
		sizeUint(protowire.EncodeZigZag(jump)) +
		sizeBool(e.Partial) +
		sizeLevel(e.Level), nil
}

func appendEntry(b []byte, e *Entry, message string, jump int64, known *labels) []byte {
	_, offset := e.Time.Zone()
	b = appendUint(b, 1, uint64(e.Time.Unix()))
	b = appendUint(b, 2, uint64(e.Time.Nanosecond()))
	b = appendUint(b, 3, protowire.EncodeZigZag(int64(offset)))
	b = appendUint(b, 4, uint64(nanos(e.Published)))
	b = appendUint(b, 5, uint64(e.Source))
	if known.are(e) {
		b = append(b, b[known.start:known.start+known.size]...)
	} else {
		known.take(e)
		start := len(b)
		for i, text := range known.texts {
			b = appendText(b, firstLabel+protowire.Number(i), text)
		}
		known.start, known.size = start, len(b)-start
	}
	b = appendText(b, 12, message)
	b = appendUint(b, 13, e.CutBytes)
	b = appendUint(b, 14, protowire.EncodeZigZag(jump))
	if e.Partial {
		b = appendUint(b, 15, 1)
	}
	return appendUint(b, 16, uint64(e.Level))
}

// sizeMessage returns the length of a Message, without its tag and length.
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

// All field numbers here are below 16, so that a tag takes one byte, except that of the level.
// A field that has its zero value is left out.

func sizeUint(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func sizeBool(v bool) int {
	if !v {
		return 0
	}
	return 1 + 1
}

func sizeLevel(l Level) int {
	if l == 0 {
		return 0
	}
	return 2 + protowire.SizeVarint(uint64(l))
}

func sizeFixed(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + 8
}

func sizeNested(length int) int { return 1 + protowire.SizeBytes(length) }

func sizeText(s string) int {
	if s == "" {
		return 0
	}
	return sizeNested(len(s))
}

func appendUint(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, varintType), v)
}

func appendFixed(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, field, fixed64Type), v)
}

func appendNested(b []byte, field protowire.Number, length int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, bytesType), uint64(length))
}

func appendText(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return append(appendNested(b, field, len(s)), s...)
}

// nanos returns t in nanoseconds since the Unix epoch, 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
