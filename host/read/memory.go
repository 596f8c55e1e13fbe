package read

import "context"

// Memory is what answers may hold together, beside what a [Reader] has for its own.
type Memory struct{ ledger *ledger }

// NewMemory returns memory of so many bytes.
func NewMemory(bytes int) *Memory {
	m := &Memory{newLedger(bytes)}
	m.ledger.steady = true
	return m
}

// Hold waits for so much of the memory. The caller closes the hold. It fails with [ErrBusy] if
// ctx's deadline comes first. While it waits, clients that do not take their answers are let go.
func (m *Memory) Hold(ctx context.Context, bytes int) (*Hold, error) {
	hold, err := m.ledger.take(ctx, bytes)
	return &Hold{share{hold: hold}}, err
}

// Shrink gives back what is more than so many bytes.
func (h *Hold) Shrink(bytes int) {
	if bytes < h.share.hold.bytes {
		h.share.hold.shrink(bytes)
	}
}
