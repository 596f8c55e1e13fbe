package sdk

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// This file reads the messages of logger.plugin.v1 that carry entries and raw
// messages, as any protobuf implementation may write them: fields in any order, the
// last of equal ones counts, unknown ones are skipped. The texts of a message are
// parts of one string, which holds the whole message: they cost no allocation, and
// retaining one retains all.

const (
	varintType  = protowire.VarintType
	fixed64Type = protowire.Fixed64Type
	bytesType   = protowire.BytesType
)

// appendRequest decodes an AppendRequest. Its slices are reused once it is released.
type appendRequest struct {
	Batch
	entries []Entry // of all apps
}

func (m *appendRequest) decode(text string) error {
	appsTag, entriesTag := tagOf(3, bytesType), tagOf(2, bytesType)
	apps, entries := 0, 0
	r := newWireReader(text)
	for t, ok := r.field(); ok; t, ok = r.field() {
		if t == appsTag {
			apps++
			entries += count(r.bytes(), entriesTag)
		} else {
			r.skip(t)
		}
	}
	if r.err != nil {
		return r.err
	}
	m.ID = BatchID{}
	m.Apps = slices.Grow(m.Apps[:0], apps)
	m.entries = slices.Grow(m.entries[:0], entries)
	r = newWireReader(text)
	for t, ok := r.field(); ok; t, ok = r.field() {
		switch t {
		case tagOf(1, bytesType):
			m.ID.Writer = r.string()
		case tagOf(2, varintType):
			m.ID.Sequence = r.varint()
		case appsTag:
			if err := m.decodeApp(r.bytes()); err != nil {
				return err
			}
		default:
			r.skip(t)
		}
	}
	return r.err
}

// decodeApp reads an AppEntries.
func (m *appendRequest) decodeApp(text string) error {
	group, first := AppEntries{}, len(m.entries)
	var known labels
	r := newWireReader(text)
	for t, ok := r.field(); ok; t, ok = r.field() {
		switch t {
		case tagOf(1, bytesType):
			group.App = r.string()
		case tagOf(2, bytesType):
			m.entries = append(m.entries, Entry{})
			if _, err := decodeEntry(r.bytes(), &m.entries[len(m.entries)-1], &known); err != nil {
				return err
			}
		default:
			r.skip(t)
		}
	}
	group.Entries = m.entries[first:len(m.entries):len(m.entries)]
	m.Apps = append(m.Apps, group)
	return r.err
}

// appendResponse decodes an AppendResponse, which has no fields.
type appendResponse struct{}

func (appendResponse) decode(text string) error {
	r := newWireReader(text)
	for t, ok := r.field(); ok; t, ok = r.field() {
		r.skip(t)
	}
	return r.err
}

// readResponse decodes a ReadResponse. Reading fails if it has more than most entries, or, if most
// is 0, more than a page may have.
type readResponse struct {
	Page
	most  int
	first uint64 // the position of the first entry
}

func (m *readResponse) decode(text string) error {
	err := m.read(text)
	m.setPositions()
	return err
}

// setPositions turns the jumps, which the entries have as positions so far, into positions.
func (m *readResponse) setPositions() {
	position := m.first - 1
	for i := range m.Entries {
		position += 1 + m.Entries[i].Position
		m.Entries[i].Position = position
	}
}

func (m *readResponse) read(text string) error {
	entriesTag := tagOf(3, bytesType)
	n := count(text, entriesTag)
	if err := atMost(len(m.Entries)+n, cmp.Or(m.most, maxPageEntries), "entries"); err != nil {
		return err
	}
	m.Entries = slices.Grow(m.Entries, n)
	var known labels
	r := newWireReader(text)
	for t, ok := r.field(); ok; t, ok = r.field() {
		switch t {
		case tagOf(1, fixed64Type):
			m.Epoch = r.fixed64()
		case tagOf(2, varintType):
			m.first = r.varint()
		case entriesTag:
			m.Entries = append(m.Entries, Entry{})
			e := &m.Entries[len(m.Entries)-1]
			jump, err := decodeEntry(r.bytes(), e, &known)
			if err != nil {
				return err
			}
			e.Position = uint64(jump) // see place
		case tagOf(4, varintType):
			m.More = r.varint() != 0
		case tagOf(5, varintType):
			m.Last = r.varint()
		case tagOf(6, bytesType):
			if err := decodeCursor(r.bytes(), &m.Next); err != nil {
				return err
			}
		case tagOf(7, varintType):
			m.Gone = r.varint()
		case tagOf(8, fixed64Type):
			m.Version = r.fixed64()
		case tagOf(9, varintType):
			m.Work = time.Duration(r.varint())
		default:
			r.skip(t)
		}
	}
	return r.err
}

func decodeCursor(text string, c *Cursor) error {
	r := newWireReader(text)
	for t, ok := r.field(); ok; t, ok = r.field() {
		switch t {
		case tagOf(1, fixed64Type):
			c.Epoch = r.fixed64()
		case tagOf(2, varintType):
			c.Position = r.varint()
		case tagOf(3, varintType):
			c.Published = int64(r.varint())
		case tagOf(4, varintType):
			c.Entry = r.varint()
		default:
			r.skip(t)
		}
	}
	return r.err
}

// followResponse decodes a FollowResponse.
type followResponse struct{ page readResponse }

func (m *followResponse) decode(text string) error {
	r := newWireReader(text)
	for t, ok := r.field(); ok; t, ok = r.field() {
		if t != tagOf(1, bytesType) {
			r.skip(t)
		} else if err := m.page.read(r.bytes()); err != nil {
			return err
		}
	}
	m.page.setPositions()
	return r.err
}

// decodeEntry reads an Entry. Known are the labels that were read last; if the entry's begin with
// their wire form, they are the same.
func decodeEntry(text string, e *Entry, known *labels) (jump int64, err error) {
	var seconds, published int64
	var nanos, offset int32
	labelled := false
	r := newWireReader(text)
	for {
		start := r.at
		t, ok := r.field()
		if !ok {
			break
		}
		switch t {
		case tagOf(1, varintType):
			seconds = int64(r.varint())
		case tagOf(2, varintType):
			nanos = int32(r.varint())
		case tagOf(3, varintType):
			offset = int32(protowire.DecodeZigZag(r.varint() & math.MaxUint32))
		case tagOf(4, varintType):
			published = int64(r.varint())
		case tagOf(5, varintType):
			e.Source = Source(r.varint())
		case tagOf(6, bytesType), tagOf(7, bytesType), tagOf(8, bytesType), tagOf(9, bytesType), tagOf(10, bytesType), tagOf(11, bytesType):
			r.at = start
			switch {
			case labelled: // some come again, or later
				r.labels(e)
			case known.wire != "" && strings.HasPrefix(text[start:], known.wire):
				known.give(e)
				r.advance(len(known.wire))
			default:
				r.labels(e)
				known.take(e)
				known.wire = text[start:r.at]
			}
			labelled = true
		case tagOf(12, bytesType):
			e.Message = r.string()
		case tagOf(13, varintType):
			e.CutBytes = r.varint()
		case tagOf(14, varintType):
			jump = protowire.DecodeZigZag(r.varint())
		case tagOf(15, varintType):
			e.Partial = r.varint() != 0
		case tagOf(16, varintType):
			e.Level = levelOf(r.varint())
		default:
			r.skip(t)
		}
	}
	e.Time = At(seconds, int64(nanos), int(offset))
	e.Published = fromNanos(published)
	return jump, r.err
}

// labels reads the labels that stand side by side.
func (r *wireReader) labels(e *Entry) {
	for {
		before := r.at
		t, ok := r.field()
		if !ok {
			return
		}
		switch t {
		case tagOf(6, bytesType):
			e.Process = r.string()
		case tagOf(7, bytesType):
			e.Release = r.string()
		case tagOf(8, bytesType):
			e.Pod = r.string()
		case tagOf(9, bytesType):
			e.Stream = r.string()
		case tagOf(10, bytesType):
			e.Host = r.string()
		case tagOf(11, bytesType):
			e.Container = r.string()
		default:
			r.at = before
			return
		}
	}
}

// runResponse decodes a RunResponse. Raw messages are most of what a host reads, and garbage as
// soon as they are decoded, so their memory is used again after release. The texts, all but the
// payloads, may outlive that: they have memory of their own.
type runResponse struct {
	batch    uint64
	messages []Message
	buffer   *[]byte // has the payloads
}

// mostReused is the longest batch whose slice is used again.
const mostReused = 4096

// flatten implements [flattener].
func (m *runResponse) flatten(data mem.BufferSlice) string {
	m.release()
	m.buffer = buffers.Get(data.Len())
	data.CopyTo(*m.buffer)
	return unsafe.String(unsafe.SliceData(*m.buffer), len(*m.buffer)) //nolint:gosec // G103: until release
}

// release gives back the memory of what was read last.
func (m *runResponse) release() {
	clear(m.messages)
	m.messages = m.messages[:0]
	if cap(m.messages) > mostReused {
		m.messages = nil
	}
	if m.buffer != nil {
		buffers.Put(m.buffer)
		m.buffer = nil
	}
}

func (m *runResponse) decode(text string) error {
	messagesTag := tagOf(2, bytesType)
	n := count(text, messagesTag)
	if err := atMost(n, maxBatchMessages, "messages"); err != nil {
		return err
	}
	m.messages = slices.Grow(m.messages[:0], n)
	m.batch = 0
	ids := 0
	r := newWireReader(text)
	for t, ok := r.field(); ok; t, ok = r.field() {
		switch t {
		case tagOf(1, varintType):
			m.batch = r.varint()
		case messagesTag:
			m.messages = append(m.messages, Message{})
			last := &m.messages[len(m.messages)-1]
			if err := decodeMessage(r.bytes(), last); err != nil {
				return err
			}
			ids += len(last.ID)
		default:
			r.skip(t)
		}
	}
	if r.err != nil {
		return r.err
	}
	// A host may remember ids for long.
	var b strings.Builder
	b.Grow(ids)
	for i := range m.messages {
		b.WriteString(m.messages[i].ID)
	}
	rest := b.String()
	for i := range m.messages {
		n := len(m.messages[i].ID)
		m.messages[i].ID, rest = rest[:n], rest[n:]
	}
	return nil
}

func decodeMessage(text string, m *Message) error {
	var published int64
	r := newWireReader(text)
	for t, ok := r.field(); ok; t, ok = r.field() {
		switch t {
		case tagOf(1, bytesType):
			m.ID = r.string()
		case tagOf(2, bytesType):
			payload := r.bytes()
			// No text is kept that shares these bytes: they can be the receiver's to write.
			m.Payload = unsafe.Slice(unsafe.StringData(payload), len(payload)) //nolint:gosec // G103: see above
		case tagOf(3, varintType):
			published = int64(r.varint())
		case tagOf(4, varintType):
			m.Attempts = uint32(r.varint())
		case tagOf(5, bytesType):
			if err := decodeAttribute(r.bytes(), m); err != nil {
				return err
			}
		default:
			r.skip(t)
		}
	}
	m.Published = fromNanos(published)
	return r.err
}

func decodeAttribute(text string, m *Message) error {
	var key, value string
	r := newWireReader(text)
	for t, ok := r.field(); ok; t, ok = r.field() {
		switch t {
		case tagOf(1, bytesType):
			key = r.string()
		case tagOf(2, bytesType):
			value = r.string()
		default:
			r.skip(t)
		}
	}
	if m.Attributes == nil {
		m.Attributes = make(map[string]string)
	}
	m.Attributes[strings.Clone(key)] = strings.Clone(value)
	return r.err
}
