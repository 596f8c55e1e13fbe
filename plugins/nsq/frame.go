package nsq

import (
	"encoding/binary"
	"fmt"
	"io"

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

// frameReader cuts a stream into frames, without a copy: data are slices of chunks
// that are never written to again.
type frameReader struct {
	src   io.Reader
	chunk []byte
	r, w  int  // what has been read and not yet cut
	given bool // someone has a slice of the chunk
}

// next cuts the next frame, if all of it is there. It reads nothing. An error is
// final.
func (f *frameReader) next() (out frame, ok bool, err error) {
	have := f.chunk[f.r:f.w]
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
	f.given = true
	return frame{
		kind: int32(binary.BigEndian.Uint32(have[sizeBytes:])),
		data: have[sizeBytes+kindBytes : end : end],
	}, true, nil
}

// frameSize is the size that a frame of at least four bytes tells.
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
	n, err := f.src.Read(f.chunk[f.w:])
	f.w += n
	if n > 0 {
		return nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// makeRoom moves to a new chunk when the rest of this one is not worth a read.
func (f *frameReader) makeRoom() {
	have, free := f.chunk[f.r:f.w], len(f.chunk)-f.w
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
	to := f.chunk
	if f.given || len(to) != size {
		to = make([]byte, size)
	}
	f.w = copy(to, have)
	f.chunk, f.r, f.given = to, 0, false
}

// message is a message as nsqd sends it.
type message struct {
	messageKey
	attempts uint16 // deliveries, this one included
	body     []byte
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
