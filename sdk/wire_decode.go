package sdk

import (
	"errors"
	"slices"
	"strings"
	"unsafe"

	"google.golang.org/grpc/mem"
)

// This file reads the messages of logger.plugin.v1 that carry entries and raw
// messages, as any protobuf implementation may write them: fields in any order, the
// last of equal ones counts, unknown ones are skipped. The texts of a message are
// parts of one string, which holds the whole message: they cost no allocation, and
// one that is kept keeps all.

// appendRequest is an AppendRequest. Its slices are used again once it is released; its
// texts are only if they are lent.
type appendRequest struct {
	Batch
	entries []Entry // of all apps
	lent    bool    // to a BatchCopier
	buffer  *[]byte // has the texts that are lent
}

// flatten implements [flattener].
func (m *appendRequest) flatten(data mem.BufferSlice) string {
	if !m.lent {
		return flatten(data)
	}
	m.buffer = buffers.Get(data.Len())
	data.CopyTo(*m.buffer)
	return unsafe.String(unsafe.SliceData(*m.buffer), len(*m.buffer)) //nolint:gosec // G103: until release
}

func (m *appendRequest) decode(text string) error {
	const appsTag, entriesTag = 3<<3 | wireBytes, 2<<3 | wireBytes
	apps, entries := 0, 0
	r := wireReader{text: text}
	for tag, ok := r.field(); ok; tag, ok = r.field() {
		if tag == appsTag {
			apps++
			entries += count(r.bytes(), entriesTag)
		} else {
			r.skip(tag)
		}
	}
	if r.err != nil {
		return r.err
	}
	m.ID = BatchID{}
	m.Apps = slices.Grow(m.Apps[:0], apps)
	m.entries = slices.Grow(m.entries[:0], entries)
	r = wireReader{text: text}
	for tag, ok := r.field(); ok; tag, ok = r.field() {
		switch tag {
		case 1<<3 | wireBytes:
			m.ID.Writer = r.string()
		case 2<<3 | wireVarint:
			m.ID.Sequence = r.varint()
		case appsTag:
			var err error
			if m.entries, err = m.decodeApp(r.bytes(), m.entries); err != nil {
				return err
			}
		default:
			r.skip(tag)
		}
	}
	return r.err
}

// decodeApp reads an AppEntries, whose entries it appends to all.
func (m *appendRequest) decodeApp(text string, all []Entry) ([]Entry, error) {
	group, first := AppEntries{}, len(all)
	var known labels
	r := wireReader{text: text}
	for tag, ok := r.field(); ok; tag, ok = r.field() {
		switch tag {
		case 1<<3 | wireBytes:
			group.App = r.string()
		case 2<<3 | wireBytes:
			all = append(all, Entry{})
			e := &all[len(all)-1]
			same, err := decodeEntry(r.bytes(), e, &known)
			if err != nil {
				return all, err
			}
			if same != 0 {
				if same > allLabels || len(all) == 1 {
					return all, errSameLabels
				}
				same.copy(e, &all[len(all)-2])
			}
		default:
			r.skip(tag)
		}
	}
	group.Entries = all[first:len(all):len(all)]
	m.Apps = append(m.Apps, group)
	return all, r.err
}

// appendResponse is an AppendResponse, which has no fields.
type appendResponse struct{}

func (appendResponse) decode(text string) error {
	r := wireReader{text: text}
	for tag, ok := r.field(); ok; tag, ok = r.field() {
		r.skip(tag)
	}
	return r.err
}

// readResponse is a ReadResponse.
type readResponse struct{ Page }

func (m *readResponse) decode(text string) error {
	const entriesTag = 3<<3 | wireBytes
	m.Entries = slices.Grow(m.Entries, count(text, entriesTag))
	var known labels
	r := wireReader{text: text}
	for tag, ok := r.field(); ok; tag, ok = r.field() {
		switch tag {
		case 1<<3 | wireFixed64:
			m.Epoch = r.fixed64()
		case 2<<3 | wireVarint:
			m.First = r.varint()
		case entriesTag:
			m.Entries = append(m.Entries, Entry{})
			same, err := decodeEntry(r.bytes(), &m.Entries[len(m.Entries)-1], &known)
			if err != nil {
				return err
			}
			if same != 0 {
				return errSameLabels
			}
		case 4<<3 | wireVarint:
			m.More = r.varint() != 0
		case 5<<3 | wireVarint:
			m.Oldest = r.varint()
		default:
			r.skip(tag)
		}
	}
	return r.err
}

// followResponse is a FollowResponse.
type followResponse struct{ page readResponse }

func (m *followResponse) decode(text string) error {
	r := wireReader{text: text}
	for tag, ok := r.field(); ok; tag, ok = r.field() {
		if tag != 1<<3|wireBytes {
			r.skip(tag)
		} else if err := m.page.decode(r.bytes()); err != nil { // several are merged
			return err
		}
	}
	return r.err
}

// decodeEntry reads an Entry. Known are the labels that were read last; labels that begin
// with their wire form are those, whatever follows it. Same are the labels that are not here.
func decodeEntry(text string, e *Entry, known *labels) (same sameLabels, err error) {
	var seconds, published int64
	var nanos, offset int32
	labelled := false
	r := wireReader{text: text}
	for start := 0; ; start = r.at {
		tag, ok := r.field()
		if !ok {
			break
		}
		switch tag {
		case 1<<3 | wireVarint:
			seconds = int64(r.varint())
		case 2<<3 | wireVarint:
			nanos = int32(r.varint())
		case 3<<3 | wireVarint:
			v := uint32(r.varint())
			offset = int32(v>>1) ^ -int32(v&1)
		case 4<<3 | wireVarint:
			published = int64(r.varint())
		case 5<<3 | wireVarint:
			e.Source = Source(r.varint())
		case processTag, releaseTag, podTag, streamTag, hostTag:
			r.at = start
			switch {
			case labelled: // some come again, or later
				r.labels(e)
			case known.wire != "" && strings.HasPrefix(text[start:], known.wire):
				known.give(e)
				r.at += len(known.wire)
			default:
				r.labels(e)
				known.take(e)
				known.wire = text[start:r.at]
			}
			labelled = true
		case 11<<3 | wireBytes:
			e.Message = r.string()
		case 12<<3 | wireVarint:
			e.CutBytes = r.varint()
		case 13<<3 | wireVarint:
			same = sameLabels(r.varint())
		default:
			r.skip(tag)
		}
	}
	e.Time = At(seconds, int64(nanos), int(offset))
	e.Published = fromNanos(published)
	return same, r.err
}

// sameLabels are the labels of an entry that are those of the one before, a bit for each.
type sameLabels uint32

// copy gives the entry those of the one before.
func (s sameLabels) copy(e, before *Entry) {
	if s == allLabels {
		e.Process, e.Release, e.Pod, e.Stream, e.Host = before.Process, before.Release, before.Pod, before.Stream, before.Host
		return
	}
	texts := labelsOf(before)
	for i, text := range [...]*string{&e.Process, &e.Release, &e.Pod, &e.Stream, &e.Host} {
		if s>>i&1 != 0 {
			*text = texts[i]
		}
	}
}

// errSameLabels is the error of a first entry that has labels of one before it, of labels that
// are none of ours, and of a page whose storage kept entries as they came.
var errSameLabels = errors.New("not a message of the plugin contract: same_labels is set in a page or in the first entry of a request, or has a bit of no label")

const (
	processTag = 6<<3 | wireBytes
	releaseTag = 7<<3 | wireBytes
	podTag     = 8<<3 | wireBytes
	streamTag  = 9<<3 | wireBytes
	hostTag    = 10<<3 | wireBytes
)

// labels reads the labels that stand side by side.
func (r *wireReader) labels(e *Entry) {
	for {
		start := r.at
		tag, ok := r.field()
		if !ok {
			return
		}
		switch tag {
		case processTag:
			e.Process = r.string()
		case releaseTag:
			e.Release = r.string()
		case podTag:
			e.Pod = r.string()
		case streamTag:
			e.Stream = r.string()
		case hostTag:
			e.Host = r.string()
		default:
			r.at = start
			return
		}
	}
}

// runResponse is a RunResponse. Raw messages are most of what a host reads, and garbage
// as soon as they are decoded, so their memory is used again: it is valid until release.
// Texts that may outlive it, which are all but the payloads, have memory of their own.
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
	const messagesTag = 2<<3 | wireBytes
	m.messages = slices.Grow(m.messages[:0], count(text, messagesTag))
	m.batch = 0
	ids := 0
	r := wireReader{text: text}
	for tag, ok := r.field(); ok; tag, ok = r.field() {
		switch tag {
		case 1<<3 | wireVarint:
			m.batch = r.varint()
		case messagesTag:
			m.messages = append(m.messages, Message{})
			last := &m.messages[len(m.messages)-1]
			if err := decodeMessage(r.bytes(), last); err != nil {
				return err
			}
			ids += len(last.ID)
		default:
			r.skip(tag)
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
	r := wireReader{text: text}
	for tag, ok := r.field(); ok; tag, ok = r.field() {
		switch tag {
		case 1<<3 | wireBytes:
			m.ID = r.string()
		case 2<<3 | wireBytes:
			payload := r.bytes()
			// No text is kept that shares these bytes: they can be the receiver's to write.
			m.Payload = unsafe.Slice(unsafe.StringData(payload), len(payload)) //nolint:gosec // G103: see above
		case 3<<3 | wireVarint:
			published = int64(r.varint())
		case 4<<3 | wireVarint:
			m.Attempts = uint32(r.varint())
		case 5<<3 | wireBytes:
			if err := decodeAttribute(r.bytes(), m); err != nil {
				return err
			}
		default:
			r.skip(tag)
		}
	}
	m.Published = fromNanos(published)
	return r.err
}

func decodeAttribute(text string, m *Message) error {
	var key, value string
	r := wireReader{text: text}
	for tag, ok := r.field(); ok; tag, ok = r.field() {
		switch tag {
		case 1<<3 | wireBytes:
			key = r.string()
		case 2<<3 | wireBytes:
			value = r.string()
		default:
			r.skip(tag)
		}
	}
	if m.Attributes == nil {
		m.Attributes = make(map[string]string)
	}
	m.Attributes[strings.Clone(key)] = strings.Clone(value)
	return r.err
}
