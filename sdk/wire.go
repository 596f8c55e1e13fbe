package sdk

import (
	"time"

	"github.com/deis/logger/sdk/pluginpb"
)

// This file turns the types of the contract into those of the wire and back.

func entryToWire(e *Entry) *pluginpb.Entry {
	_, offset := e.Time.Zone()
	return &pluginpb.Entry{
		TimeSeconds:      e.Time.Unix(),
		TimeNanos:        int32(e.Time.Nanosecond()),
		UtcOffsetSeconds: int32(offset),
		PublishedNanos:   nanos(e.Published),
		Source:           pluginpb.Source(e.Source),
		Process:          e.Process,
		Release:          e.Release,
		Pod:              e.Pod,
		Stream:           e.Stream,
		Host:             e.Host,
		Message:          e.Message,
		CutBytes:         e.CutBytes,
	}
}

func entryFromWire(p *pluginpb.Entry) Entry {
	return Entry{
		Time:      At(p.GetTimeSeconds(), int64(p.GetTimeNanos()), int(p.GetUtcOffsetSeconds())),
		Published: fromNanos(p.GetPublishedNanos()),
		Source:    Source(p.GetSource()),
		Process:   p.GetProcess(),
		Release:   p.GetRelease(),
		Pod:       p.GetPod(),
		Stream:    p.GetStream(),
		Host:      p.GetHost(),
		Message:   p.GetMessage(),
		CutBytes:  p.GetCutBytes(),
	}
}

// At is the time so many seconds and nanoseconds after the Unix epoch, in the
// offset east of UTC given in seconds. Times so made compare by == in tests only
// after [time.Time.Equal] and their offset; storages use it to restore [Entry.Time].
func At(seconds, nanoseconds int64, offset int) time.Time {
	t := time.Unix(seconds, nanoseconds)
	if offset == 0 {
		return t.UTC()
	}
	return t.In(zone(offset))
}

// nanos is t in nanoseconds since the Unix epoch, 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
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

func batchToWire(b Batch) *pluginpb.AppendRequest {
	apps := make([]*pluginpb.AppEntries, len(b.Apps))
	for i, a := range b.Apps {
		apps[i] = &pluginpb.AppEntries{App: a.App, Entries: entriesToWire(a.Entries)}
	}
	return &pluginpb.AppendRequest{Writer: b.ID.Writer, Sequence: b.ID.Sequence, Apps: apps}
}

func batchFromWire(p *pluginpb.AppendRequest) Batch {
	b := Batch{ID: BatchID{Writer: p.GetWriter(), Sequence: p.GetSequence()}}
	b.Apps = make([]AppEntries, len(p.GetApps()))
	for i, a := range p.GetApps() {
		b.Apps[i] = AppEntries{App: a.GetApp(), Entries: entriesFromWire(a.GetEntries())}
	}
	return b
}

func pageToWire(p Page) *pluginpb.ReadResponse {
	return &pluginpb.ReadResponse{Epoch: p.Epoch, First: p.First, Entries: entriesToWire(p.Entries), More: p.More}
}

func pageFromWire(p *pluginpb.ReadResponse) Page {
	return Page{Epoch: p.GetEpoch(), First: p.GetFirst(), Entries: entriesFromWire(p.GetEntries()), More: p.GetMore()}
}

func cursorToWire(c Cursor) *pluginpb.Cursor {
	if c.IsZero() {
		return nil
	}
	return &pluginpb.Cursor{Epoch: c.Epoch, Position: c.Position}
}

func cursorFromWire(p *pluginpb.Cursor) Cursor {
	return Cursor{Epoch: p.GetEpoch(), Position: p.GetPosition()}
}

func messageToWire(m *Message) *pluginpb.Message {
	return &pluginpb.Message{
		Id: m.ID, Payload: m.Payload, PublishedNanos: nanos(m.Published), Attempts: m.Attempts, Attributes: m.Attributes,
	}
}

func messageFromWire(p *pluginpb.Message) Message {
	return Message{
		ID: p.GetId(), Payload: p.GetPayload(), Published: fromNanos(p.GetPublishedNanos()),
		Attempts: p.GetAttempts(), Attributes: p.GetAttributes(),
	}
}

func settingToWire(s Setting) *pluginpb.Setting {
	return &pluginpb.Setting{
		Env: s.Env, Type: pluginpb.SettingType(s.Type), Default: s.Default, Doc: s.Doc,
		Secret: s.Secret, Required: s.Required, Min: s.Min, Max: s.Max, OneOf: s.OneOf,
	}
}

func settingFromWire(p *pluginpb.Setting) Setting {
	return Setting{
		Env: p.GetEnv(), Type: SettingType(p.GetType()), Default: p.GetDefault(), Doc: p.GetDoc(),
		Secret: p.GetSecret(), Required: p.GetRequired(), Min: p.Min, Max: p.Max, OneOf: p.GetOneOf(),
	}
}
