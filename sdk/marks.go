package sdk

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// MarkedWriters is how many writers [Marks] remember for an app. Marks recognise a batch until this
// many other writers have stored in the app. A writer is one host process, so Marks forget it only
// after 16 later starts of hosts.
const MarkedWriters = 16

// Marks remember the batches of one app that were stored, so that a repeated [Storage.Append]
// stores nothing twice. A storage has one Marks for each app. It stores their binary form together
// with the entries (in one transaction, if its backend has transactions), and asks them before it
// stores:
//
//	if marks.Stored(batch.ID) {
//		continue // this app has it
//	}
//	// store the entries and the marks
//	marks.Add(batch.ID)
//
// The zero Marks is empty. Marks are not safe for concurrent use.
type Marks struct {
	writers []BatchID // the highest sequence of each writer, the latest writer last
}

// Stored says whether the batch, or a later one of its writer, was added.
func (m *Marks) Stored(id BatchID) bool {
	for _, w := range m.writers {
		if w.Writer == id.Writer {
			return id.Sequence <= w.Sequence
		}
	}
	return false
}

// Add remembers that the batch is stored. It copies what it keeps. A batch that is not above its
// writer's highest changes nothing.
func (m *Marks) Add(id BatchID) {
	if m.Stored(id) {
		return
	}
	// The writer that stored longest ago is forgotten first.
	m.writers = slices.DeleteFunc(m.writers, func(w BatchID) bool { return w.Writer == id.Writer })
	if len(m.writers) == MarkedWriters {
		m.writers = slices.Delete(m.writers, 0, 1)
	}
	id.Writer = strings.Clone(id.Writer) // it shares the buffer of a whole batch
	m.writers = append(m.writers, id)
}

// marksVersion begins the binary form.
const marksVersion = 1

// AppendBinary implements [encoding.BinaryAppender]: a version, then for each writer
// the length of its name, the name and the sequence, as varints and bytes.
func (m *Marks) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, marksVersion)
	for _, w := range m.writers {
		b = binary.AppendUvarint(b, uint64(len(w.Writer)))
		b = append(b, w.Writer...)
		b = binary.AppendUvarint(b, w.Sequence)
	}
	return b, nil
}

// MarshalBinary implements [encoding.BinaryMarshaler].
func (m *Marks) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It reads empty marks from no bytes, and
// fails with [ErrInvalid] for anything else that AppendBinary did not write.
func (m *Marks) UnmarshalBinary(b []byte) error {
	m.writers = nil
	if len(b) == 0 {
		return nil
	}
	if b[0] != marksVersion {
		return fmt.Errorf("marks of version %d, want %d: %w", b[0], marksVersion, ErrInvalid)
	}
	var writers []BatchID
	for b = b[1:]; len(b) > 0; {
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)-n) {
			return fmt.Errorf("marks end in a writer's name: %w", ErrInvalid)
		}
		name := string(b[n : n+int(length)])
		b = b[n+int(length):]
		sequence, n := binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("marks end in a sequence: %w", ErrInvalid)
		}
		b = b[n:]
		if len(writers) == MarkedWriters || slices.ContainsFunc(writers, func(w BatchID) bool { return w.Writer == name }) {
			return fmt.Errorf("marks name too many writers, or one twice: %w", ErrInvalid)
		}
		writers = append(writers, BatchID{Writer: name, Sequence: sequence})
	}
	m.writers = writers
	return nil
}
