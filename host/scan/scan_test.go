package scan

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestGlances: between two looks at what a request has taken, one long line or a few short ones are
// evaluated.
func TestGlances(t *testing.T) {
	for name, tc := range map[string]struct{ lines, bytes, most int }{
		"long lines":  {20, 64 << 10, 1},
		"short lines": {2000, 200, 63},
		"empty lines": {2000, 0, 256},
	} {
		storage := &storagefake.Storage{}
		at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
		for range tc.lines {
			storage.Add("foo", sdk.Entry{Time: at, Published: at, Message: strings.Repeat("x", tc.bytes)})
		}
		s, lines := New(read.New(read.Options{Storage: storage, Timeout: time.Second})), 0
		err := s.Read(t.Context(), read.Query{App: "foo", Lines: -1}, func(entries []sdk.Entry) error {
			if lines += len(entries); len(entries) > tc.most {
				t.Errorf("%s: %d lines at once, want at most %d", name, len(entries), tc.most)
			}
			return nil
		})
		if err != nil || lines != tc.lines {
			t.Errorf("%s: %d lines, %v", name, lines, err)
		}
	}
}
