package memory

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// openDir opens the store of a state folder, and returns what it logged.
func openDir(t *testing.T, dir string, settings Settings) (*storage, *bytes.Buffer) {
	t.Helper()
	var logged bytes.Buffer
	logger := hclog.New(&hclog.LoggerOptions{Output: &logged, Level: hclog.Info})
	s, err := Open(t.Context(), settings, sdk.Host{StateDir: dir, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.(*storage).Close(); err != nil {
			t.Error(err)
		}
	})
	if problem := s.(*storage).audit(); problem != "" {
		t.Error("opened: ", problem)
	}
	return s.(*storage), &logged
}

func reopen(t *testing.T, s *storage, dir string, settings Settings) (*storage, *bytes.Buffer) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openDir(t, dir, settings)
}

func fill(t *testing.T, s *storage, app string, first, last int) {
	t.Helper()
	for i := first; i <= last; i++ {
		if err := s.Append(t.Context(), batchOf("w", uint64(i), app, small(i, 200))); err != nil {
			t.Fatal(err)
		}
	}
}

// unplaced returns the entry as it was appended.
func unplaced(e sdk.Entry) sdk.Entry {
	e.Position = 0
	return e
}

// wantRun checks that the page holds the entries that fill made, at their positions.
func wantRun(t *testing.T, page sdk.Page, first, last int) {
	t.Helper()
	if len(page.Entries) != last-first+1 || page.Last != uint64(last) {
		t.Fatalf("%d entries up to %d, want %d to %d", len(page.Entries), page.Last, first, last)
	}
	for i, e := range page.Entries {
		if e.Position != uint64(first+i) || unplaced(e) != small(first+i, 200) {
			t.Fatalf("position %d is %+v", first+i, e)
		}
	}
}

// TestReopen: a store that is opened again continues where it was.
func TestReopen(t *testing.T) {
	dir, settings := t.TempDir(), Settings{Lines: 1000, Budget: 4 << 20}
	s, _ := openDir(t, dir, settings)
	fill(t, s, "foo", 1, 1500)
	fill(t, s, "bar", 1, 10)
	fill(t, s, "gone", 1, 100)
	if err := s.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	before := readAll(t, s, "foo")

	s, logged := reopen(t, s, dir, settings)
	after := readAll(t, s, "foo")
	wantRun(t, after, 501, 1500)
	wantRun(t, readAll(t, s, "bar"), 1, 10)
	if after.Epoch != before.Epoch {
		t.Errorf("epoch %x became %x", before.Epoch, after.Epoch)
	}
	if page := readAll(t, s, "gone"); len(page.Entries) != 0 || page.Epoch != 0 {
		t.Errorf("%d entries of a deleted app, epoch %x", len(page.Entries), page.Epoch)
	}
	fill(t, s, "foo", 1490, 1510) // ten of them are stored already
	wantRun(t, readAll(t, s, "foo"), 511, 1510)
	if strings.Contains(logged.String(), "[WARN]") {
		t.Errorf("it warned: %s", logged)
	}
}

// TestOneOwner: two processes cannot have the same arena.
func TestOneOwner(t *testing.T) {
	dir, settings := t.TempDir(), Settings{Lines: 1000, Budget: 1 << 20}
	s, _ := openDir(t, dir, settings)
	if _, err := Open(t.Context(), settings, sdk.Host{StateDir: dir}); !errors.Is(err, sdk.ErrUnavailable) {
		t.Errorf("opened twice: %v", err)
	}
	reopen(t, s, dir, settings)
}

func TestOpenFails(t *testing.T) {
	good := Settings{Lines: 1000, Budget: 1 << 20}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name     string
		ctx      context.Context
		settings Settings
		dir      string
		want     error
	}{
		{"context", ended, good, t.TempDir(), context.Canceled},
		{"no folder", t.Context(), good, filepath.Join(t.TempDir(), "absent"), os.ErrNotExist},
		{"no lines", t.Context(), Settings{Budget: 1 << 20}, t.TempDir(), sdk.ErrInvalid},
		{"no budget", t.Context(), Settings{Lines: 1, Budget: 1<<20 - 1}, t.TempDir(), sdk.ErrInvalid},
		{"retention", t.Context(), Settings{Lines: 1, Budget: 1 << 20, Retention: -1}, t.TempDir(), sdk.ErrInvalid},
	} {
		if _, err := Open(c.ctx, c.settings, sdk.Host{StateDir: c.dir}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestSettings(t *testing.T) {
	s, err := sdk.LoadSettings[Settings](func(string) (string, bool) { return "", false })
	if want := (Settings{Lines: 1000, Budget: 256 << 20, Retention: sdk.Duration(720 * time.Hour)}); err != nil || s != want {
		t.Errorf("%+v, %v, want %+v", s, err, want)
	}
}

// TestSettingsChange: a store adapts to another number of lines or another budget.
func TestSettingsChange(t *testing.T) {
	dir, settings := t.TempDir(), Settings{Lines: 100, Budget: 4 << 20}
	s, _ := openDir(t, dir, settings)
	fill(t, s, "foo", 1, 250)
	fill(t, s, "bar", 1, 8)
	wantRun(t, readAll(t, s, "foo"), 151, 250)

	settings.Lines = 200
	s, _ = reopen(t, s, dir, settings)
	wantRun(t, readAll(t, s, "foo"), 151, 250) // what was trimmed stays gone
	fill(t, s, "foo", 251, 260)
	s, _ = reopen(t, s, dir, settings)
	wantRun(t, readAll(t, s, "foo"), 151, 260)

	settings.Lines = 5
	s, _ = reopen(t, s, dir, settings)
	wantRun(t, readAll(t, s, "foo"), 256, 260)
	wantRun(t, readAll(t, s, "bar"), 4, 8)

	settings.Budget = 8 << 20
	settings.Lines = 50_000
	s, logged := reopen(t, s, dir, settings)
	wantRun(t, readAll(t, s, "foo"), 256, 260)
	fill(t, s, "foo", 261, 261+20_000) // more than the first budget had room for
	wantRun(t, readAll(t, s, "foo"), 256, 261+20_000)
	if strings.Contains(logged.String(), "[WARN]") {
		t.Errorf("it warned: %s", logged)
	}

	settings.Budget = 1 << 20
	s, logged = reopen(t, s, dir, settings)
	if page := readAll(t, s, "foo"); page.Epoch != 0 {
		t.Errorf("kept more than the budget: %d entries", len(page.Entries))
	}
	if !strings.Contains(logged.String(), "[WARN]") {
		t.Error("dropped all and did not say so")
	}
	fill(t, s, "foo", 1, 5)
	wantRun(t, readAll(t, s, "foo"), 1, 5)
}

// TestForeignFile: a file that is not an arena is overwritten, with a warning.
func TestForeignFile(t *testing.T) {
	noise := make([]byte, 3<<20+5)
	_, _ = rand.Read(noise)
	for name, content := range map[string][]byte{
		"text":   []byte("hello"),
		"zeros":  make([]byte, 2<<20),
		"noise":  noise,
		"larger": make([]byte, 9<<20),
		"block":  noise[:pageSize],
	} {
		t.Run(name, func(t *testing.T) {
			dir, settings := t.TempDir(), Settings{Lines: 100, Budget: 4 << 20}
			path := filepath.Join(dir, fileName)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			s, logged := openDir(t, dir, settings)
			if warned := strings.Contains(logged.String(), "[WARN]"); warned != (len(content) >= pageSize) {
				t.Errorf("warned: %t: %s", warned, logged)
			}
			fill(t, s, "foo", 1, 50)
			s, logged = reopen(t, s, dir, settings)
			wantRun(t, readAll(t, s, "foo"), 1, 50)
			if strings.Contains(logged.String(), "[WARN]") {
				t.Errorf("it warned: %s", logged)
			}
		})
	}
}

// TestDamage: a damaged log is dropped, and no other. Each case damages another part of its blocks.
func TestDamage(t *testing.T) {
	settings := Settings{Lines: 1000, Budget: 1 << 20}
	block := func(l *log, i int) uint64 { return blockAt(l.runs[0].blocks[i]) }
	for name, damage := range map[string]func(s *storage, l *log){
		"entry":     func(s *storage, l *log) { s.arena.payload(l.runs[0].blocks[1])[100] ^= 4 },
		"last byte": func(s *storage, l *log) { s.arena.payload(l.runs[0].blocks[2])[(l.ends[0]-1)%payloadSize] ^= 4 },
		"header":    func(s *storage, l *log) { s.arena.store(block(l, 1)+headPosition, 3) },
		"top": func(s *storage, l *log) {
			h, _ := s.arena.header(l.runs[0].blocks[1])
			h.top++ // although the checksum is right
			s.arena.setHeader(l.runs[0].blocks[1], &h)
		},
		"hole": func(s *storage, l *log) { s.arena.store(block(l, 1)+headKind, 0) },
		"end": func(_ *storage, l *log) {
			l.ends[0]--
			l.slot.commit(l.turn, &l.record)
		},
		"far": func(_ *storage, l *log) {
			l.last = 1 << 63
			l.slot.commit(l.turn, &l.record)
		},
		"near": func(_ *storage, l *log) {
			l.last--
			l.slot.commit(l.turn, &l.record)
		},
		"rest of the slot": func(s *storage, l *log) {
			b, _ := s.arena.take()
			s.widen(l, b)
			s.arena.store(blockAt(b)+headCheck, 1)
		},
		"head": func(_ *storage, l *log) { l.slot.setHead(0, l.runs[0].count+1) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := openDir(t, dir, settings)
			fill(t, s, "foo", 1, 10)
			fill(t, s, "bar", 1, 40)
			if n := blocksOf(t, s, "foo"); n != 3 {
				t.Fatalf("%d blocks, the cases want 3", n)
			}
			damage(s, s.logs["foo"])
			s, logged := reopen(t, s, dir, settings)
			if page := readAll(t, s, "foo"); page.Epoch != 0 || len(page.Entries) != 0 {
				t.Errorf("%d entries of a damaged log", len(page.Entries))
			}
			if !strings.Contains(logged.String(), "damaged") {
				t.Errorf("it did not warn: %s", logged)
			}
			wantRun(t, readAll(t, s, "bar"), 1, 40)
			fill(t, s, "foo", 41, 50)
			if page := readAll(t, s, "foo"); page.Last != 10 || len(page.Entries) != 10 {
				t.Errorf("after it, %d entries of %d", len(page.Entries), page.Last)
			}
		})
	}
}

// TestTorn: data after the end of a stream, whole or torn, is ignored. The test calls the parts of
// an append, since no call from outside stops between them.
func TestTorn(t *testing.T) {
	dir, settings := t.TempDir(), Settings{Lines: 1000, Budget: 1 << 20}
	s, _ := openDir(t, dir, settings)
	fill(t, s, "foo", 1, 10)
	l := s.logs["foo"]
	// An append that stops just before its commit.
	s.mu.Lock()
	p, err := s.prepare(l, []sdk.Entry{small(11, 9000)}, false)
	if err != nil {
		t.Fatal(err)
	}
	s.write(l, &p.runs[0])
	s.mu.Unlock()

	s, logged := reopen(t, s, dir, settings)
	wantRun(t, readAll(t, s, "foo"), 1, 10)
	fill(t, s, "foo", 11, 60)
	wantRun(t, readAll(t, s, "foo"), 1, 60)
	s, logged2 := reopen(t, s, dir, settings)
	wantRun(t, readAll(t, s, "foo"), 1, 60)
	if all := fmt.Sprint(logged, logged2); strings.Contains(all, "[WARN]") {
		t.Errorf("it warned: %s", all)
	}
}
