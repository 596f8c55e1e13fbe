package nsq

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	gonsq "github.com/nsqio/go-nsq"
)

// nsqd sends frames: four bytes of size, which counts what follows, four bytes of
// kind, and the data.
const (
	sizeBytes = 4
	kindBytes = 4

	// chunkBytes is what is read into at once. The messages of a chunk are slices of
	// it, and keep it whole while one of them waits.
	chunkBytes = 128 << 10
	// manyLent is more than a chunk has messages.
	manyLent = 1 << 30
	// chunkRest is when the end of a chunk is not worth a read any more.
	chunkRest = 8 << 10
	// growth is how much faster than its data a large frame's buffer may grow: no
	// memory is taken on the word of a size.
	growth = 4

	// maxFrameBytes is no message but a peer that does not speak this protocol.
	maxFrameBytes = 256 << 20
)

// frame is one unit of what nsqd sends.
type frame struct {
	kind int32
	data []byte
}

// chunk is memory that is read into. Messages borrow it; once all of them have been
// given back it is read into again. One that is not given back keeps its chunk from
// that, and nothing else.
type chunk struct {
	bytes []byte
	// owed is how many messages have to be given back; manyLent too many while the chunk
	// is still read into.
	owed atomic.Int64
}

// chunks are those that nobody has.
var chunks sync.Pool

func newChunk(size int) *chunk {
	if size == chunkBytes {
		if c, ok := chunks.Get().(*chunk); ok {
			return c
		}
	}
	return &chunk{bytes: make([]byte, size)}
}

// giveBack ends the use of so many messages of the chunk.
func (c *chunk) giveBack(messages int) {
	if c.owed.Add(-int64(messages)) == 0 && len(c.bytes) == chunkBytes {
		chunks.Put(c)
	}
}

// frameReader cuts a stream into frames, without a copy: data are slices of chunks. They
// are valid until the next fill, those that are lent until they are given back.
type frameReader struct {
	src   io.Reader
	chunk *chunk // nil before the first fill
	r, w  int    // what has been read and not yet cut
	lent  int    // messages of the chunk
}

// lend makes the frame that was cut last valid until it is given back to the chunk.
func (f *frameReader) lend() *chunk {
	if f.lent == 0 {
		f.chunk.owed.Store(manyLent)
	}
	f.lent++
	return f.chunk
}

// next cuts the next frame, if all of it is there. It reads nothing. An error is
// final.
func (f *frameReader) next() (out frame, ok bool, err error) {
	have := f.unread()
	if len(have) < sizeBytes {
		return frame{}, false, nil
	}
	size, err := frameSize(have)
	if err != nil {
		return frame{}, false, err
	}
	end := sizeBytes + size
	if len(have) < end {
		return frame{}, false, nil
	}
	f.r += end
	return frame{
		kind: int32(binary.BigEndian.Uint32(have[sizeBytes:])),
		data: have[sizeBytes+kindBytes : end : end],
	}, true, nil
}

// unread returns what has been read and not yet cut.
func (f *frameReader) unread() []byte {
	if f.chunk == nil {
		return nil
	}
	return f.chunk.bytes[f.r:f.w]
}

// frameSize returns the size that a frame of at least four bytes tells.
func frameSize(have []byte) (int, error) {
	size := binary.BigEndian.Uint32(have)
	if size < kindBytes || size > maxFrameBytes {
		return 0, fmt.Errorf("a frame of %d bytes: that is not NSQ's protocol", size)
	}
	return int(size), nil
}

// fill reads once, after next has cut all it could.
func (f *frameReader) fill() error {
	f.makeRoom()
	n, err := f.src.Read(f.chunk.bytes[f.w:])
	f.w += n
	if n > 0 {
		return nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// makeRoom moves to another chunk when the rest of this one is not worth a read.
func (f *frameReader) makeRoom() {
	have, free := f.unread(), 0
	if f.chunk != nil {
		free = len(f.chunk.bytes) - f.w
	}
	need := sizeBytes
	if len(have) >= sizeBytes {
		// next has seen this size, and found it good.
		need += int(binary.BigEndian.Uint32(have))
	}
	if free >= chunkRest || f.r == 0 && free >= need-len(have) && free > 0 {
		return
	}
	size := chunkBytes
	if need > chunkBytes {
		size = min(need, max(chunkBytes, growth*len(have)))
	}
	old, to := f.chunk, f.chunk
	if f.lent > 0 || to == nil || len(to.bytes) != size {
		to = newChunk(size)
	}
	f.w = copy(to.bytes, have)
	if f.lent > 0 {
		old.giveBack(manyLent - f.lent) // what is not lent
	}
	f.chunk, f.r, f.lent = to, 0, 0
}

// message is a message as nsqd sends it.
type message struct {
	messageKey
	attempts uint16 // deliveries, this one included
	body     []byte
	chunk    *chunk // of which body is a part; nil once that is given back
}

// messageKey tells messages apart. nsqd's id alone does not: two nsqd of the same
// --node-id, which is ten bits of a hash unless set, count alike. That they take two
// messages with the same id in the same nanosecond is as good as impossible. The host
// tells messages apart by the same two.
type messageKey struct {
	id        gonsq.MessageID
	published int64 // nanoseconds since the Unix epoch, by nsqd's clock
}

// messageHeader is what precedes the body: time, attempts, id.
const messageHeader = 8 + 2 + gonsq.MsgIDLength

// decodeMessage reads the data of a message's frame; the body is a slice of it.
func decodeMessage(data []byte) (m message, ok bool) {
	if len(data) < messageHeader {
		return message{}, false
	}
	m.published = int64(binary.BigEndian.Uint64(data))
	m.attempts = binary.BigEndian.Uint16(data[8:])
	copy(m.id[:], data[10:])
	m.body = data[messageHeader:]
	return m, true
}
