package nsq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	gonsq "github.com/nsqio/go-nsq"
)

// frameBytes returns the bytes that nsqd sends for a frame.
func frameBytes(kind int32, data []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(kindBytes+len(data)))
	out = binary.BigEndian.AppendUint32(out, uint32(kind))
	return append(out, data...)
}

// frames reads all frames of a stream. The error is what ended it.
func frames(src io.Reader) (out []frame, err error) {
	r := frameReader{src: src}
	for {
		f, ok, err := r.next()
		switch {
		case err != nil:
			return out, err
		case ok:
			r.lend()
			out = append(out, f)
			continue
		}
		if err := r.fill(); err != nil {
			return out, err
		}
	}
}

func TestFramesOfAnySizeInAnyPieces(t *testing.T) {
	var sent [][]byte
	var stream []byte
	for i, size := range []int{0, 1, 700, 0, chunkBytes - 8, chunkBytes - 7, chunkBytes, 5, 10 << 20, 3, chunkBytes - chunkRest, 100, 2 * chunkBytes} {
		sent = append(sent, bytes.Repeat([]byte{byte(i + 1)}, size))
		stream = append(stream, frameBytes(int32(i), sent[i])...)
	}
	for range 2000 { // several chunks
		sent = append(sent, bytes.Repeat([]byte{byte(len(sent))}, 200))
		stream = append(stream, frameBytes(int32(len(sent)-1), sent[len(sent)-1])...)
	}
	for name, src := range map[string]io.Reader{
		"whole":      bytes.NewReader(stream),
		"halves":     iotest.HalfReader(bytes.NewReader(stream)),
		"with error": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := frames(src)
			if !errors.Is(err, io.EOF) || len(got) != len(sent) {
				t.Fatalf("%d frames of %d, %v", len(got), len(sent), err)
			}
			for i, f := range got { // compared after all were read: no chunk is reused
				if f.kind != int32(i) || !bytes.Equal(f.data, sent[i]) {
					t.Fatalf("frame %d is of kind %d with %d bytes, want %d bytes", i, f.kind, len(f.data), len(sent[i]))
				}
				if cap(f.data) != len(f.data) {
					t.Fatalf("frame %d reaches into the next", i)
				}
			}
		})
	}
}

func TestNoMemoryOnTheWordOfASize(t *testing.T) {
	claim := binary.BigEndian.AppendUint32(nil, maxFrameBytes)
	r := frameReader{src: io.MultiReader(bytes.NewReader(claim), bytes.NewReader(make([]byte, 1000)))}
	for {
		if _, ok, err := r.next(); ok || err != nil {
			t.Fatalf("a frame: %t, %v", ok, err)
		}
		if err := r.fill(); err != nil {
			break
		}
	}
	if len(r.chunk.bytes) > chunkBytes {
		t.Errorf("a buffer of %d bytes for 1000", len(r.chunk.bytes))
	}
}

// TestLentFrames gives frames back in any order while others are read. A frame must not change
// before it is given back.
func TestLentFrames(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	var stream []byte
	for n := range 5000 {
		body := bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 1+random.IntN(400))
		if n%1000 == 500 {
			body = bytes.Repeat([]byte{byte(n), byte(n >> 8)}, chunkBytes)
		}
		stream = append(stream, frameBytes(2, body)...)
	}
	type lent struct {
		n     int
		data  []byte
		chunk *chunk
	}
	var out []lent
	seen := map[*chunk]bool{}
	check := func(l lent) {
		if len(l.data) == 0 || !bytes.Equal(l.data, bytes.Repeat([]byte{byte(l.n), byte(l.n >> 8)}, len(l.data)/2)) {
			t.Fatalf("frame %d changed while it was lent", l.n)
		}
	}
	r := frameReader{src: pieces{bytes.NewReader(stream), 3000}}
	n := 0
	for {
		f, ok, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if r.fill() != nil {
				break
			}
			continue
		}
		out = append(out, lent{n, f.data, r.lend()})
		seen[r.chunk] = true
		n++
		for len(out) > 300 || len(out) > 0 && random.IntN(3) == 0 {
			i := random.IntN(len(out))
			check(out[i])
			out[i].chunk.giveBack(1)
			out[i] = out[len(out)-1]
			out = out[:len(out)-1]
		}
	}
	for _, l := range out {
		check(l)
	}
	if n != 5000 {
		t.Fatalf("%d frames", n)
	}
	t.Logf("%d chunks for %d bytes", len(seen), len(stream))
}

func TestAnIdleConnectionKeepsItsChunk(t *testing.T) {
	beat := frameBytes(gonsq.FrameTypeResponse, []byte("_heartbeat_"))
	stream := bytes.Repeat(beat, 3*chunkBytes/len(beat))
	var r frameReader
	r.src = iotest.HalfReader(bytes.NewReader(stream))
	if n := testing.AllocsPerRun(1, func() {
		for r.src = bytes.NewReader(stream); ; {
			if _, ok, _ := r.next(); !ok && r.fill() != nil {
				break
			}
		}
	}); n > 10 {
		t.Errorf("%g allocations for %d bytes", n, len(stream))
	}
}

func TestBadSizes(t *testing.T) {
	for _, size := range []uint32{0, 3, maxFrameBytes + 1, 1 << 31, 1<<32 - 1} {
		_, err := frames(bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, size), 1, 2, 3, 4)))
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

func FuzzFrameReader(f *testing.F) {
	f.Add(append(frameBytes(0, []byte("OK")), frameBytes(2, make([]byte, 40))...), 3)
	f.Add(frameBytes(1, []byte("E_INVALID")), 1)
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n"), 100)
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 2}, 5)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		if piece < 1 {
			piece = 1
		}
		got, err := frames(pieces{bytes.NewReader(stream), piece})
		// go-nsq reads the same frames, as far as it gets.
		r := bytes.NewReader(stream)
		for i, ours := range got {
			kind, data, err := gonsq.ReadUnpackedResponse(r)
			if err != nil || kind != ours.kind || !bytes.Equal(data, ours.data) {
				t.Fatalf("frame %d: kind %d %q, go-nsq has kind %d %q, %v", i, ours.kind, ours.data, kind, data, err)
			}
			theirs, err := gonsq.DecodeMessage(data)
			m, ok := decodeMessage(data)
			if ok != (err == nil) {
				t.Fatalf("message %q: %t, go-nsq has %v", data, ok, err)
			}
			if ok && (m.id != theirs.ID || m.attempts != theirs.Attempts || m.published != theirs.Timestamp || !bytes.Equal(m.body, theirs.Body)) {
				t.Fatalf("message %+v, go-nsq has %+v", m, theirs)
			}
		}
		if errors.Is(err, io.EOF) && r.Len() >= sizeBytes {
			head := stream[len(stream)-r.Len():]
			if size, err := frameSize(head); err != nil || len(head) >= sizeBytes+size {
				t.Fatalf("%d bytes are left", r.Len())
			}
		}
	})
}

// pieces returns at most so many bytes at once.
type pieces struct {
	io.Reader
	most int
}

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.most)]) }

func FuzzHandshakeFrame(f *testing.F) {
	f.Add(frameBytes(0, []byte("OK")))
	f.Add(append([]byte{0, 0, 0, 14}, "E_BAD_PROTOCOL"...))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		kind, data, err := readFrame(bytes.NewReader(stream))
		if err == nil && kind == gonsq.FrameTypeError {
			if line := oneLine(data); len(line) > maxAnswer || bytes.ContainsAny([]byte(line), "\n\r\x00") {
				t.Errorf("%q is no line", line)
			}
		}
	})
}

func TestAnswersAreGoNSQs(t *testing.T) {
	id := gonsq.MessageID([]byte("0123456789abcdef"))
	for _, c := range []struct {
		ours  []byte
		their *gonsq.Command
	}{
		{appendFinish(nil, &id), gonsq.Finish(id)},
		{appendTouch(nil, &id), gonsq.Touch(id)},
		{appendRequeue(nil, &id, 0), gonsq.Requeue(id, 0)},
		{appendRequeue(nil, &id, 1234567*time.Microsecond), gonsq.Requeue(id, 1234567*time.Microsecond)},
	} {
		var theirs bytes.Buffer
		if _, err := c.their.WriteTo(&theirs); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.ours, theirs.Bytes()) {
			t.Errorf("%q, go-nsq writes %q", c.ours, theirs.Bytes())
		}
	}
}
