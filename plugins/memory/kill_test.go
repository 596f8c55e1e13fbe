package memory

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
)

// childEnv makes the test binary append to the store in this folder until it is killed.
const childEnv = "MEMORY_TEST_CHILD"

const childWriters = 3

// child appends as three concurrent writers, each to two apps. For each acknowledged batch it
// prints a line: writer and sequence.
func child(dir string) error {
	s, err := Open(context.Background(), killSettings, sdk.Host{StateDir: dir})
	if err != nil {
		return err
	}
	// It continues where the last process stopped: after the batches that are stored in all apps.
	var stored [childWriters]uint64
	for w := range stored {
		page, err := s.Read(context.Background(), sdk.ReadOptions{App: fmt.Sprint("own-", w), Limit: 1})
		if err != nil {
			return err
		}
		stored[w] = page.Last
	}
	for n := slices.Min(stored[:]) + 1; ; n++ {
		var wg sync.WaitGroup
		errs := make(chan error, childWriters) // room for each writer's error
		for w := range childWriters {
			wg.Go(func() {
				err := s.Append(context.Background(), childBatch(w, n))
				if err == nil && n > stored[w] {
					_, err = fmt.Println(w, n)
				}
				errs <- err
			})
		}
		wg.Wait()
		for range childWriters {
			if err := <-errs; err != nil {
				return err
			}
		}
	}
}

// The shared app soon exceeds the number of lines. The writers' own apps do not.
var killSettings = Settings{Lines: 3000, Budget: 64 << 20}

func childBatch(w int, n uint64) sdk.Batch {
	e := small(int(n), 50+int(n%7)*40)
	if n%50 == 0 {
		e = small(int(n), 10_000)
	}
	writer := fmt.Sprint("writer-", w)
	e.Pod, e.CutBytes = writer, n
	e.Published = e.Published.Add(time.Duration(n) * time.Second) // so that the window is exact
	return sdk.Batch{ID: sdk.BatchID{Writer: writer, Sequence: n}, Apps: []sdk.AppEntries{
		{App: "shared", Entries: []sdk.Entry{e}},
		{App: fmt.Sprint("own-", w), Entries: []sdk.Entry{e}},
	}}
}

// TestKill kills an appending process again and again. Each time, the store holds everything that
// was acknowledged, in order and once.
func TestKill(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	acknowledged := make([]uint64, childWriters) // the last sequence of each writer
	for round := range 8 {
		runChild(t, exe, dir, 50+rand.IntN(700), acknowledged)
		s, _ := openDir(t, dir, killSettings)
		shared := make([]uint64, childWriters)
		for i, e := range readAll(t, s, "shared").Entries {
			var w int
			if _, err := fmt.Sscanf(e.Pod, "writer-%d", &w); err != nil {
				t.Fatal(err)
			}
			if shared[w] != 0 && e.CutBytes != shared[w]+1 {
				t.Errorf("round %d, entry %d: writer %d has %d after %d", round, i, w, e.CutBytes, shared[w])
			}
			shared[w] = e.CutBytes
		}
		for w := range childWriters {
			page := readAll(t, s, fmt.Sprint("own-", w))
			for _, e := range page.Entries {
				if want := childBatch(w, e.Position).Apps[0].Entries[0]; unplaced(e) != want {
					t.Fatalf("round %d, writer %d: position %d is %+v", round, w, e.Position, e)
				}
			}
			checkOrder(t, page.Entries)
			// The batch under way may be stored too, in the first app or in both.
			last := page.Last
			if last < acknowledged[w] || last > acknowledged[w]+1 || shared[w] < last || shared[w] > last+1 {
				t.Errorf("round %d, writer %d: %d acknowledged, %d stored, %d of them shared",
					round, w, acknowledged[w], last, shared[w])
			}
			acknowledged[w] = shared[w] // it is stored and was seen, so it must stay
			if shared[w] == 0 {
				continue // killed before its first batch
			}
			// Repeating the last batch completes it, once.
			if err := s.Append(t.Context(), childBatch(w, shared[w])); err != nil {
				t.Fatal(err)
			}
			if end := readAll(t, s, fmt.Sprint("own-", w)).Last; end != shared[w] {
				t.Errorf("round %d, writer %d: after a repetition %d are stored, want %d", round, w, end, shared[w])
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// runChild starts the process, kills it after so many acknowledgements, and records the last one
// that each writer printed.
func runChild(t *testing.T, exe, dir string, after int, acknowledged []uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	got := 0
	for lines.Scan() {
		if got == after {
			_ = cmd.Process.Kill()
		}
		var w int
		var n uint64
		if _, err := fmt.Sscan(lines.Text(), &w, &n); err != nil {
			break // cut off by the kill
		}
		acknowledged[w] = n
		got++
	}
	_ = cmd.Wait() // it reports that it was killed
	if got <= after {
		t.Fatalf("the process ended by itself, after %d acknowledgements", got)
	}
}
