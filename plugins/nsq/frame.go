package nsq

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	gonsq "github.com/nsqio/go-nsq"
)

// nsqd sends frames: four bytes with the size of what follows, four bytes of kind, and the data.
const (
	sizeBytes = 4
	kindBytes = 4

	// chunkBytes is the size of a chunk. Its messages are slices of it: while one of them waits,
	// the whole chunk is in use.
	chunkBytes = 128 << 10
	// manyLent is more than the number of messages in a chunk.
	manyLent = 1 << 30
	// chunkRest is the size below which the rest of a chunk is not worth a read any more.
	chunkRest = 8 << 10
	// growth bounds how many times larger than the data so far a large frame's buffer may grow: a
	// size alone gets no memory.
	growth = 4

	// maxFrameBytes is the largest size of a frame. A peer that announces more does not speak this
	// protocol.
	maxFrameBytes = 256 << 20
)

// frame holds one unit of what nsqd sends.
type frame struct {
	kind int32
	data []byte
}

// chunk holds memory that is read into. Messages borrow it. Once all have been given back, it is
// read into again. A message that is never given back only keeps its chunk from being used again.
type chunk struct {
	bytes []byte
	// owed counts the messages that have to be given back. While the chunk is still read into,
	// manyLent is added.
	owed atomic.Int64
}

// chunks holds the chunks that nobody uses.
var chunks sync.Pool

func newChunk(size int) *chunk {
	if size == chunkBytes {
		if c, ok := chunks.Get().(*chunk); ok {
			return c
		}
	}
	return &chunk{bytes: make([]byte, size)}
}

// giveBack ends the use of that many messages of the chunk.
func (c *chunk) giveBack(messages int) {
	if c.owed.Add(-int64(messages)) == 0 && len(c.bytes) == chunkBytes {
		chunks.Put(c)
	}
}

// frameReader cuts a stream into frames, without a copy: data are slices of chunks. They are valid
// until the next fill; lent ones until they are given back.
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

// next cuts the next frame, if all of it has been read. It does not read. An error is final.
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

// frameSize returns the size that a frame begins with. Have has at least four bytes.
func frameSize(have []byte) (int, error) {
	size := binary.BigEndian.Uint32(have)
	if size < kindBytes || size > maxFrameBytes {
		return 0, fmt.Errorf("a frame of %d bytes: that is not NSQ's protocol", size)
	}
	return int(size), nil
}

// fill reads once, after next has cut all frames that it could.
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
		// next has checked this size.
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

// message holds a message as nsqd sends it.
type message struct {
	messageKey
	attempts uint16 // deliveries, this one included
	body     []byte
	chunk    *chunk // of which body is a part; nil once that is given back
}

// messageKey tells messages apart. Nsqd's id alone does not: two nsqd with the same --node-id,
// which is ten bits of a hash unless set, count alike. That they take two messages with the same id
// in the same nanosecond is practically impossible. The host uses the same two fields.
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
