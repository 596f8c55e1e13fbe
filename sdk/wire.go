package sdk

import (
	"time"

	"github.com/deis/logger/sdk/pluginpb"
)

// This file turns the types of the contract into the generated types and back, for messages that
// are small and rare. For the others see wire_encode.go.

// At returns the time that is seconds and nanoseconds after the Unix epoch, in the zone that is
// offset seconds east of UTC. Storages restore Entry.Time by it. Compare such times by
// [time.Time.Equal] and their offsets, not by ==.
func At(seconds, nanoseconds int64, offset int) time.Time {
	t := time.Unix(seconds, nanoseconds)
	if offset == 0 {
		return t.UTC()
	}
	return t.In(zone(offset))
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func cursorToWire(c Cursor) *pluginpb.Cursor {
	if c.IsZero() {
		return nil
	}
	return &pluginpb.Cursor{Epoch: c.Epoch, Position: c.Position, PublishedNanos: c.Published, Entry: c.Entry}
}

func cursorFromWire(p *pluginpb.Cursor) Cursor {
	return Cursor{Epoch: p.GetEpoch(), Position: p.GetPosition(), Published: p.GetPublishedNanos(), Entry: p.GetEntry()}
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
