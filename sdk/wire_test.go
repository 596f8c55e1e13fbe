package sdk

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/deis/logger/sdk/pluginpb"
)

// This file compares our codec with the generated one, in both directions.

func cloneBatch(b Batch) Batch {
	b.Apps = slices.Clone(b.Apps)
	for i := range b.Apps {
		b.Apps[i].Entries = slices.Clone(b.Apps[i].Entries)
	}
	return b
}

func sameEntries(a, b []Entry) bool { return slices.EqualFunc(a, b, sameEntry) }

func sameBatch(a, b Batch) bool {
	return a.ID == b.ID && slices.EqualFunc(a.Apps, b.Apps, func(a, b AppEntries) bool {
		return a.App == b.App && sameEntries(a.Entries, b.Entries)
	})
}

func samePage(a, b Page) bool {
	return a.Epoch == b.Epoch && a.Last == b.Last && a.More == b.More && a.Next == b.Next && a.Gone == b.Gone &&
		a.Version == b.Version && a.Work == b.Work && sameEntries(a.Entries, b.Entries)
}

func sameMessages(a, b []Message) bool {
	return slices.EqualFunc(a, b, func(a, b Message) bool {
		return a.ID == b.ID && bytes.Equal(a.Payload, b.Payload) && a.Published.Equal(b.Published) &&
			a.Attempts == b.Attempts && maps.Equal(a.Attributes, b.Attributes)
	})
}

// differ decodes the bytes as each message that we decode ourselves, and reports how our result
// differs from the generated code's.
func differ(data string) error {
	for _, m := range []struct {
		name      string
		ours      wireDecoder
		generated proto.Message
		same      func(ours wireDecoder, generated proto.Message) bool
	}{
		{"AppendRequest", new(appendRequest), &pluginpb.AppendRequest{}, func(o wireDecoder, g proto.Message) bool {
			return sameBatch(o.(*appendRequest).Batch, batchFromWire(g.(*pluginpb.AppendRequest)))
		}},
		{"AppendResponse", &appendResponse{}, &pluginpb.AppendResponse{}, func(wireDecoder, proto.Message) bool { return true }},
		{"ReadResponse", &readResponse{}, &pluginpb.ReadResponse{}, func(o wireDecoder, g proto.Message) bool {
			return samePage(o.(*readResponse).Page, pageFromWire(g.(*pluginpb.ReadResponse)))
		}},
		{"FollowResponse", &followResponse{}, &pluginpb.FollowResponse{}, func(o wireDecoder, g proto.Message) bool {
			return samePage(o.(*followResponse).page.Page, pageFromWire(g.(*pluginpb.FollowResponse).GetPage()))
		}},
		{"RunResponse", &runResponse{}, &pluginpb.RunResponse{}, func(o wireDecoder, g proto.Message) bool {
			ours, theirs := o.(*runResponse), g.(*pluginpb.RunResponse)
			return ours.batch == theirs.GetBatch() && sameMessages(ours.messages, messagesFromWire(theirs))
		}},
	} {
		ours, theirs := m.ours.decode(data), proto.Unmarshal([]byte(data), m.generated)
		if (ours == nil) != (theirs == nil) {
			return fmt.Errorf("%s: we say %q, protobuf %q", m.name, fmt.Sprint(ours), fmt.Sprint(theirs))
		}
		if ours == nil && !m.same(m.ours, m.generated) {
			return fmt.Errorf("%s: we read %+v, protobuf %v", m.name, m.ours, m.generated)
		}
		if r, ok := m.ours.(*appendRequest); ok {
			r.release()
		}
	}
	return nil
}

// FuzzDecode gives the same bytes to our decoder and to the generated one.
func FuzzDecode(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		f.Add(shuffled(random, sampleOf(random)))
	}
	f.Add([]byte{0x0b, 0x0c})
	f.Add(bytes.Repeat([]byte{0x7b}, 10_010))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := differ(string(data)); err != nil {
			t.Errorf("%x: %v", data, err)
		}
	})
}

// TestDecodeAnyOrder decodes what another implementation of protobuf may write: fields in any
// order, repeated fields apart from each other, unknown fields, and fields that come twice. Then it
// decodes damaged bytes.
func TestDecodeAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 6000 {
		data := shuffled(random, sampleOf(random))
		if i%3 == 0 {
			for range 1 + random.IntN(3) {
				data[random.IntN(len(data))] ^= 1 << random.IntN(8)
			}
		}
		if i%5 == 0 {
			data = data[:random.IntN(len(data))]
		}
		if err := differ(string(data)); err != nil {
			t.Fatalf("%x: %v", data, err)
		}
	}
}

// sampleOf returns the wire form of a message of one of the kinds.
func sampleOf(random *rand.Rand) []byte {
	var m proto.Message
	page := randomPage(random)
	p := pageToWire(&page)
	switch random.IntN(4) {
	case 0:
		b := randomBatch(random)
		m = batchToWire(&b)
	case 1:
		m = p
	case 2:
		m = &pluginpb.FollowResponse{Page: p}
	default:
		m = messagesToWire(random.Uint64N(1000)+1, randomMessages(random))
	}
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return append(data, 0x50, 0x01) // so it is never empty; field 10 is unknown
}

// shuffled writes the fields of the message in another order, adds unknown ones, and repeats some.
// It does the same to nested bytes that can be read as a message.
func shuffled(random *rand.Rand, data []byte) []byte {
	var fields [][]byte
	for rest := data; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return data
		}
		size := protowire.ConsumeFieldValue(num, typ, rest[n:])
		if size < 0 {
			return data
		}
		field := rest[:n+size]
		if typ == protowire.BytesType && random.IntN(4) > 0 {
			value, _ := protowire.ConsumeBytes(rest[n:])
			if inner := shuffled(random, value); len(inner) > 0 {
				field = protowire.AppendBytes(protowire.AppendTag(nil, num, typ), inner)
			}
		}
		fields = append(fields, field)
		if random.IntN(10) == 0 {
			fields = append(fields, field)
		}
		rest = rest[n+size:]
	}
	if random.IntN(2) == 0 {
		unknown := [][]byte{
			protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), random.Uint64()),
			protowire.AppendFixed32(protowire.AppendTag(nil, 77, protowire.Fixed32Type), 7),
			protowire.AppendFixed64(protowire.AppendTag(nil, 11, protowire.Fixed64Type), 7),
			protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), random.Uint64()),
			protowire.AppendString(protowire.AppendTag(nil, 15, protowire.BytesType), "unknown \xff"),
			protowire.AppendGroup(protowire.AppendTag(nil, 3, protowire.StartGroupType), 3, []byte{0x08, 0x01}),
			protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), random.Uint64()),
		}
		fields = append(fields, unknown[random.IntN(len(unknown))])
	}
	if random.IntN(3) > 0 {
		random.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	} else if len(fields) > 1 { // nearly in order
		i := random.IntN(len(fields) - 1)
		fields[i], fields[i+1] = fields[i+1], fields[i]
	}
	return slices.Concat(fields...)
}

// plain returns the wire form of what we encoded.
func plain(t *testing.T, e *encoded, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer e.data.Free()
	return e.data.Materialize()
}

func TestEncodeIsProtobuf(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		batch := randomBatch(random)
		e, err := encodeBatch(&batch)
		check(t, plain(t, e, err), batchToWire(&batch), &pluginpb.AppendRequest{})
		page := randomPage(random)
		e, err = encodePage(&page, false, false)
		check(t, plain(t, e, err), pageToWire(&page), &pluginpb.ReadResponse{})
		e, err = encodePage(&page, true, false)
		check(t, plain(t, e, err), &pluginpb.FollowResponse{Page: pageToWire(&page)}, &pluginpb.FollowResponse{})
		messages := randomMessages(random)
		e, err = encodeMessages(7, messages)
		check(t, plain(t, e, err), messagesToWire(7, messages), &pluginpb.RunResponse{})
	}
}

// check decodes our wire form with protobuf. It also compares the lengths, so that we write nothing
// in a way of our own.
func check(t *testing.T, data []byte, want, got proto.Message) {
	t.Helper()
	if err := proto.Unmarshal(data, got); err != nil || !proto.Equal(got, want) || len(data) != proto.Size(want) {
		t.Fatalf("got %v in %d bytes, %v, want %v in %d", got, len(data), err, want, proto.Size(want))
	}
}

// decodeData decodes as gRPC does.
func decodeData(data mem.BufferSlice, m wireDecoder) error {
	target, malformed := receiver(m)
	return errors.Join(wireCodec.Unmarshal(data, target), malformed())
}

// TestPagesAreCut: a page that is too large is cut where its reader can continue, and says so.
func TestPagesAreCut(t *testing.T) {
	var entries []Entry
	for i := range 10 {
		entries = append(entries, Entry{Published: time.Unix(int64(100+i), 0), Position: uint64(i + 10), Message: strings.Repeat("x", 1000)})
	}
	end := Cursor{Epoch: 1, Position: 19}
	for size, want := range map[int]int{0: 1, 1: 1, 2500: 2, 1 << 20: 10} {
		for name, opts := range map[string]ReadOptions{
			"newest": {Limit: -1}, "arrival": {Limit: -1, After: Cursor{Epoch: 1, Position: 9}}, "history": {Limit: -1, After: end.HistoryBegin()},
		} {
			page := Page{Epoch: 1, Last: 19, Entries: slices.Clone(entries)}
			page.complete(&opts)
			page.cut(&opts, size)
			kept, next := entries[:want], Cursor{}
			switch name {
			case "newest":
				kept = entries[10-want:]
				next = end.At(&kept[0])
			case "arrival":
				next = Cursor{Epoch: 1, Position: kept[want-1].Position}
			case "history":
				next = end.At(&kept[want-1])
			}
			more := want < 10 || name == "history"
			if !sameEntries(page.Entries, kept) || page.More != more || page.Next != next || page.Gone != 0 {
				t.Errorf("%s, size %d: %d entries, more %t, next %q, gone %d; want %d, %t, %q, 0", name, size, len(page.Entries), page.More, page.Next, page.Gone, want, more, next)
			}
		}
	}
}

func TestInvalidUTF8IsRefused(t *testing.T) {
	const bad = "\xff"
	long := Entry{Process: "web", Release: "v2", Pod: "web-1", Stream: "stdout", Host: "node"}
	worse := long
	worse.Pod = bad
	for i, b := range []Batch{
		{ID: BatchID{Writer: bad}},
		{Apps: []AppEntries{{App: bad}}},
		{Apps: []AppEntries{{App: "a", Entries: []Entry{{Message: bad}}}}},
		{Apps: []AppEntries{{App: "a", Entries: []Entry{{Process: bad}}}}},
		{Apps: []AppEntries{{App: "a", Entries: []Entry{{Release: bad}}}}},
		{Apps: []AppEntries{{App: "a", Entries: []Entry{{Pod: bad}}}}},
		{Apps: []AppEntries{{App: "a", Entries: []Entry{{Stream: bad}}}}},
		{Apps: []AppEntries{{App: "a", Entries: []Entry{{Host: bad}}}}},
		{Apps: []AppEntries{{App: "a", Entries: []Entry{{Container: bad}}}}},
		{Apps: []AppEntries{{App: "a", Entries: []Entry{long}}, {App: "b", Entries: []Entry{worse}}}},
	} {
		if _, err := encodeBatch(&b); !errors.Is(err, ErrInvalid) {
			t.Errorf("batch %d: %v", i, err)
		}
		if data, err := (proto.MarshalOptions{AllowPartial: true}).Marshal(batchToWire(&b)); err == nil {
			t.Errorf("protobuf takes batch %d: %x", i, data)
		}
	}
	for i, m := range []Message{{ID: bad}, {Attributes: map[string]string{bad: ""}}, {Attributes: map[string]string{"": bad}}} {
		if _, err := encodeMessages(1, []Message{m}); !errors.Is(err, ErrInvalid) {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if _, err := encodePage(&Page{Entries: []Entry{{Host: bad}}}, false, false); err == nil {
		t.Error("a page")
	}
}

// TestDecodedIsNobodyElses keeps decoded values while buffers are reused. Of messages, it does not
// keep the payloads.
func TestDecodedIsNobodyElses(t *testing.T) {
	send := func(fill string) (runResponse, readResponse) {
		var messages runResponse
		var page readResponse
		e, err := encodeMessages(1, []Message{{ID: fill, Payload: []byte(fill), Attributes: map[string]string{fill: fill}}, {ID: fill}})
		if err != nil {
			t.Fatal(err)
		}
		if err := decodeData(e.data, &messages); err != nil {
			t.Fatal(err)
		}
		e.data.Free()
		e, err = encodePage(&Page{Entries: []Entry{{Message: fill}}}, false, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := decodeData(e.data, &page); err != nil {
			t.Fatal(err)
		}
		e.data.Free()
		return messages, page
	}
	first := strings.Repeat("a", 3000)
	messages, page := send(first)
	for range 100 {
		other, _ := send(strings.Repeat("b", 3000))
		copy(other.messages[0].Payload, "zzz") // the receiver may write to it
		if other.messages[0].ID[0] != 'b' || other.messages[0].Attributes[other.messages[0].ID] == "" {
			t.Fatal("a payload shares bytes with an id or an attribute")
		}
	}
	a, b := messages.messages[0].ID, messages.messages[1].ID
	if unsafe.Pointer(unsafe.StringData(b)) != unsafe.Add(unsafe.Pointer(unsafe.StringData(a)), len(a)) {
		t.Error("ids are not in memory of their own: one that is remembered keeps the payloads")
	}
	m := messages.messages[0]
	if string(m.Payload) != first || page.Entries[0].Message != first {
		t.Error("what was decoded changed")
	}
	payload := m.Payload
	messages.release()
	copy(payload, strings.Repeat("b", 3000)) // as the next user of the memory would
	if m.ID != first || m.Attributes[first] != first {
		t.Error("an id or an attribute shares memory that is reused")
	}
	if len(messages.messages) != 0 || messages.buffer != nil {
		t.Errorf("released: %+v", messages)
	}
}

func TestBufferPool(t *testing.T) {
	var p bufferPool
	for _, n := range []int{0, 1, 512, 513, 4096, 100_000, 1 << maxBufferBits, 1<<maxBufferBits + 1} {
		b := p.Get(n)
		if len(*b) != n {
			t.Errorf("%d bytes, want %d", len(*b), n)
		}
		*b = (*b)[:n/2] // a prefix comes back, as the interface says
		p.Put(b)
		if again := p.Get(n); len(*again) != n {
			t.Errorf("again %d bytes, want %d", len(*again), n)
		}
	}
	odd := make([]byte, 700)
	p.Put(&odd) // not one of the pool's
	if b := p.Get(1000); cap(*b) != 1024 {
		t.Errorf("a capacity of %d", cap(*b))
	}
	var _ mem.BufferPool = &p
}
