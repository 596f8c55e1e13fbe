package sdk

import (
	"math/bits"
	"strings"
	"sync"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// codec extends gRPC's protobuf codec: it writes and reads the types of this package where a
// message carries entries or raw messages: see wire_encode.go and wire_decode.go. On the wire there
// is no difference.
type codec struct{ encoding.CodecV2 }

var wireCodec encoding.CodecV2 = codec{encoding.GetCodecV2(proto.Name)}

// encoded holds a message in its wire form. It can be sent once.
type encoded struct{ data mem.BufferSlice }

// wireDecoder reads its own wire form. It may keep parts of text, which belongs to it.
type wireDecoder interface{ decode(text string) error }

// flattener chooses the memory of the text that its wireDecoder reads.
type flattener interface {
	wireDecoder
	flatten(data mem.BufferSlice) string
}

// received takes a message and, if it is malformed, the error. If the codec returned that error,
// gRPC would report an internal error, as it does for a panic.
type received struct {
	message   wireDecoder
	malformed error
}

// receiver returns the target that gRPC has to read m into, and what returns the error if m was
// malformed.
func receiver(m any) (target any, malformed func() error) {
	d, ok := m.(wireDecoder)
	if !ok {
		return m, func() error { return nil }
	}
	r := &received{message: d}
	return r, func() error { return r.malformed }
}

// Marshal implements [encoding.CodecV2].
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if e, ok := v.(*encoded); ok {
		return e.data, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements [encoding.CodecV2].
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if r, ok := v.(*received); ok {
		if f, ok := r.message.(flattener); ok {
			r.malformed = f.decode(f.flatten(data))
		} else {
			r.malformed = r.message.decode(flatten(data))
		}
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// flatten returns the data in one piece: the one allocation that all texts of a message
// share.
func flatten(data mem.BufferSlice) string {
	var b strings.Builder
	b.Grow(data.Len())
	for _, part := range data {
		_, _ = b.Write(part.ReadOnlyData()) // never fails
	}
	return b.String()
}

// buffers has the memory that encoded messages are written to and that the transport reads into.
// gRPC's own pool has nothing between 32 KiB and 1 MiB, where most of our batches and pages are,
// and clears a whole buffer each time.
var buffers mem.BufferPool = &bufferPool{}

// The smallest and largest pooled buffers, as powers of two. Smaller ones are
// allocated at the smallest size; larger ones are not pooled.
const (
	minBufferBits = 9
	maxBufferBits = 22
)

// bufferPool has a tier for each power of two. Its buffers are not cleared: their users overwrite
// them.
type bufferPool struct {
	tiers [maxBufferBits - minBufferBits + 1]sync.Pool
}

// Get implements [mem.BufferPool].
func (p *bufferPool) Get(length int) *[]byte {
	tier := max(bits.Len(uint(max(length, 1)-1))-minBufferBits, 0)
	if tier >= len(p.tiers) {
		b := make([]byte, length)
		return &b
	}
	if b, ok := p.tiers[tier].Get().(*[]byte); ok {
		*b = (*b)[:length]
		return b
	}
	b := make([]byte, length, 1<<(tier+minBufferBits))
	return &b
}

// Put implements [mem.BufferPool].
func (p *bufferPool) Put(b *[]byte) {
	size := cap(*b)
	tier := bits.Len(uint(size)) - 1 - minBufferBits
	if tier < 0 || tier >= len(p.tiers) || size != 1<<(tier+minBufferBits) {
		return
	}
	p.tiers[tier].Put(b)
}
