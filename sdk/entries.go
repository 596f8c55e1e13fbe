package sdk

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// entriesField is the field of an entry in a ReadResponse.
const entriesField = 3

// AppendEntries appends entries to b in the form of the protocol: the bytes of a ReadResponse whose
// only field is entries. A storage that keeps several entries as one text can use it, since the
// form is as stable as the protocol. Positions are left out. If an entry is not valid, the error
// wraps [ErrInvalid].
func AppendEntries(b []byte, entries []Entry) ([]byte, error) {
	var sized, written labels
	for i := range entries {
		n, err := sizeEntry(&entries[i], entries[i].Message, 0, &sized)
		if err != nil {
			return b, fmt.Errorf("entry %d: %w", i, err)
		}
		b = appendEntry(appendNested(b, entriesField, n), &entries[i], entries[i].Message, 0, &written)
	}
	return b, nil
}

// ParseEntries reads into entries what AppendEntries wrote. The caller passes as many zero entries
// as were written. Their strings then share the memory of text. After an error, which
// wraps [ErrInvalid], the entries are of no use.
func ParseEntries(text string, entries []Entry) error {
	var known labels
	n, r := 0, newWireReader(text)
	for t, ok := r.field(); ok; t, ok = r.field() {
		if t != tagOf(entriesField, protowire.BytesType) {
			r.skip(t)
			continue
		}
		if n == len(entries) {
			return fmt.Errorf("more than %d entries: %w", n, ErrInvalid)
		}
		if _, err := decodeEntry(r.bytes(), &entries[n], &known); err != nil {
			return fmt.Errorf("entry %d: %w: %w", n, ErrInvalid, err)
		}
		n++
	}
	if r.err != nil {
		return fmt.Errorf("entry %d: %w: %w", n, ErrInvalid, r.err)
	}
	if n < len(entries) {
		return fmt.Errorf("%d entries, not %d: %w", n, len(entries), ErrInvalid)
	}
	return nil
}
