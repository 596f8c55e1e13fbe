package sdk

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deis/logger/sdk/pluginpb"
)

func TestParseLevel(t *testing.T) {
	for l := LevelTrace; l <= LevelFatal; l++ {
		if got, err := ParseLevel(l.String()); err != nil || got != l {
			t.Errorf("%q is %s, %v", l, got, err)
		}
	}
	for _, name := range []string{"", "unknown", "WARN", "warning", "5"} {
		if got, err := ParseLevel(name); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is %s, %v, want one that is %v", name, got, err, ErrInvalid)
		}
	}
}

// TestLevelsToCome: an unknown level of a later version is ignored, in entries and in filters.
func TestLevelsToCome(t *testing.T) {
	page := readResponse{}
	if err := page.decode(string(marshal(t, &pluginpb.ReadResponse{First: 1, Entries: []*pluginpb.Entry{
		{Level: 7, Message: "a"}, {Level: -1}, {Level: 256 + 5}, {Level: pluginpb.Level_LEVEL_ERROR},
	}}))); err != nil || len(page.Entries) != 4 {
		t.Fatalf("%+v, %v", page.Entries, err)
	}
	for i, want := range []Level{LevelUnknown, LevelUnknown, LevelUnknown, LevelError} {
		if got := page.Entries[i].Level; got != want {
			t.Errorf("entry %d: %s, want %s", i, got, want)
		}
	}
	for sent, want := range map[pluginpb.Level]Level{7: LevelUnknown, -1: LevelUnknown, 4: LevelWarn} {
		got := readRequestFromWire(&pluginpb.ReadRequest{Filter: &pluginpb.Filter{Level: sent}}).Filter.Level
		if got != want {
			t.Errorf("a filter by level %d is one by %s, want %s", sent, got, want)
		}
	}
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
