package sdk

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/deis/logger/sdk/pluginpb"
)

// This file converts the contract's types to the generated ones and back, and makes samples of
// them.

func entryToWire(e *Entry) *pluginpb.Entry {
	_, offset := e.Time.Zone()
	return &pluginpb.Entry{
		TimeSeconds: e.Time.Unix(), TimeNanos: int32(e.Time.Nanosecond()), UtcOffsetSeconds: int32(offset),
		PublishedNanos: nanos(e.Published), Source: pluginpb.Source(e.Source),
		Process: e.Process, Release: e.Release, Pod: e.Pod, Stream: e.Stream, Host: e.Host,
		Message: e.Message, CutBytes: e.CutBytes, Container: e.Container, Partial: e.Partial, Level: pluginpb.Level(e.Level),
	}
}

func entryFromWire(p *pluginpb.Entry) Entry {
	return Entry{
		Time:      At(p.GetTimeSeconds(), int64(p.GetTimeNanos()), int(p.GetUtcOffsetSeconds())),
		Published: fromNanos(p.GetPublishedNanos()), Source: Source(p.GetSource()),
		Process: p.GetProcess(), Release: p.GetRelease(), Pod: p.GetPod(), Stream: p.GetStream(), Host: p.GetHost(),
		Message: p.GetMessage(), CutBytes: p.GetCutBytes(), Container: p.GetContainer(), Partial: p.GetPartial(),
		Level: levelOf(uint64(p.GetLevel())),
	}
}

func entriesToWire(entries []Entry) []*pluginpb.Entry {
	out := make([]*pluginpb.Entry, len(entries))
	for i := range entries {
		out[i] = entryToWire(&entries[i])
	}
	return out
}

func entriesFromWire(entries []*pluginpb.Entry) []Entry {
	out := make([]Entry, len(entries))
	for i, e := range entries {
		out[i] = entryFromWire(e)
	}
	return out
}

func batchToWire(b *Batch) *pluginpb.AppendRequest {
	p := &pluginpb.AppendRequest{Writer: b.ID.Writer, Sequence: b.ID.Sequence}
	for _, a := range b.Apps {
		p.Apps = append(p.Apps, &pluginpb.AppEntries{App: a.App, Entries: entriesToWire(a.Entries)})
	}
	return p
}

func batchFromWire(p *pluginpb.AppendRequest) Batch {
	b := Batch{ID: BatchID{Writer: p.GetWriter(), Sequence: p.GetSequence()}}
	for _, a := range p.GetApps() {
		b.Apps = append(b.Apps, AppEntries{App: a.GetApp(), Entries: entriesFromWire(a.GetEntries())})
	}
	return b
}

// pageToWire writes positions as the contract says: the position of the first entry, and for each
// entry the difference from the position that it would have if positions rose by one.
func pageToWire(p *Page) *pluginpb.ReadResponse {
	out := &pluginpb.ReadResponse{
		Epoch: p.Epoch, Last: p.Last, Entries: entriesToWire(p.Entries), More: p.More, Next: cursorToWire(p.Next),
		Gone: p.Gone, Version: p.Version, WorkNanos: uint64(p.Work),
	}
	for i := range p.Entries {
		if i == 0 {
			out.First = p.Entries[0].Position
		} else {
			out.Entries[i].Jump = int64(p.Entries[i].Position - p.Entries[i-1].Position - 1)
		}
	}
	return out
}

func pageFromWire(p *pluginpb.ReadResponse) Page {
	out := Page{
		Epoch: p.GetEpoch(), Last: p.GetLast(), Entries: entriesFromWire(p.GetEntries()), More: p.GetMore(),
		Next: cursorFromWire(p.GetNext()), Gone: p.GetGone(), Version: p.GetVersion(),
		Work: time.Duration(p.GetWorkNanos()),
	}
	position := p.GetFirst() - 1
	for i, e := range p.GetEntries() {
		position += 1 + uint64(e.GetJump())
		out.Entries[i].Position = position
	}
	return out
}

func messagesToWire(batch uint64, messages []Message) *pluginpb.RunResponse {
	p := &pluginpb.RunResponse{Batch: batch}
	for _, m := range messages {
		p.Messages = append(p.Messages, &pluginpb.Message{
			Id: m.ID, Payload: m.Payload, PublishedNanos: nanos(m.Published), Attempts: m.Attempts, Attributes: m.Attributes,
		})
	}
	return p
}

func messagesFromWire(p *pluginpb.RunResponse) []Message {
	var out []Message
	for _, m := range p.GetMessages() {
		out = append(out, Message{
			ID: m.GetId(), Payload: m.GetPayload(), Published: fromNanos(m.GetPublishedNanos()),
			Attempts: m.GetAttempts(), Attributes: m.GetAttributes(),
		})
	}
	return out
}

func randomText(random *rand.Rand) string {
	all := []string{"", "", "web", "v2", "foo-web-845861952-nzf60", "caf\u00e9 \U0001F600", strings.Repeat("x", random.IntN(300))}
	return all[random.IntN(len(all))]
}

func randomEntries(random *rand.Rand) []Entry {
	out := make([]Entry, random.IntN(5))
	for i := range out {
		e := &out[i]
		if random.IntN(4) > 0 {
			e.Time = time.Unix(random.Int64N(1<<34)-1<<33, random.Int64N(1e9)).In(zone((random.IntN(100) - 50) * 900))
			e.Published = time.Unix(0, random.Int64())
			e.Source = Source(random.IntN(4))
			e.CutBytes = random.Uint64() >> random.IntN(64)
			e.Container = randomText(random)
			e.Partial = random.IntN(2) == 0
			e.Level = Level(random.IntN(int(LevelFatal) + 1))
		}
		e.Process, e.Release, e.Pod = randomText(random), randomText(random), randomText(random)
		e.Stream, e.Host, e.Message = randomText(random), randomText(random), randomText(random)
		if i > 0 && random.IntN(3) > 0 { // most entries repeat the fields of the one before
			before := out[i-1]
			e.Process, e.Release, e.Pod, e.Stream, e.Host = before.Process, before.Release, before.Pod, before.Stream, before.Host
		}
	}
	return out
}

func randomCursor(random *rand.Rand) Cursor {
	c := Cursor{Epoch: random.Uint64N(3), Position: random.Uint64N(300)}
	if random.IntN(2) == 0 {
		c.Published, c.Entry = random.Int64()-1<<62, random.Uint64N(300)
	}
	return c
}

func randomPage(random *rand.Rand) Page {
	p := Page{
		Epoch: random.Uint64N(3), Last: random.Uint64N(300), Entries: randomEntries(random), More: random.IntN(2) == 0,
		Next: randomCursor(random), Gone: random.Uint64N(3), Version: random.Uint64() >> random.IntN(64),
		Work: time.Duration(random.Int64N(1 << 40)),
	}
	position := random.Uint64N(300)
	for i := range p.Entries {
		if position++; random.IntN(3) == 0 {
			position = random.Uint64() >> random.IntN(64)
		}
		p.Entries[i].Position = position
	}
	return p
}

func randomBatch(random *rand.Rand) Batch {
	b := Batch{ID: BatchID{Writer: randomText(random), Sequence: random.Uint64N(1000)}}
	var before Entry
	for range random.IntN(4) {
		entries := randomEntries(random)
		if len(entries) > 0 {
			if random.IntN(2) == 0 { // and so do most apps' first entries
				first := &entries[0]
				first.Process, first.Release, first.Pod, first.Stream, first.Host = before.Process, before.Release, before.Pod, before.Stream, before.Host
			}
			before = entries[len(entries)-1]
		}
		b.Apps = append(b.Apps, AppEntries{App: randomText(random), Entries: entries})
	}
	return b
}

func randomMessages(random *rand.Rand) []Message {
	out := make([]Message, random.IntN(5))
	for i := range out {
		m := &out[i]
		m.ID, m.Payload, m.Attempts = randomText(random), []byte(randomText(random)), random.Uint32()>>random.IntN(32)
		if random.IntN(2) == 0 {
			m.Published = time.Unix(0, random.Int64())
			m.Attributes = map[string]string{randomText(random): randomText(random), "topic": "logs"}
		}
	}
	return out
}
