package api

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/plugins/memory"
	"github.com/deis/logger/sdk"
)

// modeEnv makes the test binary the memory storage's plugin.
const modeEnv = "LOGGER_TEST_MODE"

func serveMemory() {
	sdk.ServeStorage(sdk.Info{Name: "memory", Version: "test"}, memory.Open)
}

// memoryPlugin returns the memory storage in a process of its own, as the host runs it.
func memoryPlugin(tb testing.TB, lines int) *plugin.Supervisor {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "logger-storage-memory") // the host clears a plugin's environment
	if err := os.WriteFile(path, []byte(fmt.Sprintf("#!/bin/sh\n%s=plugin exec '%s'\n", modeEnv, self)), 0o700); err != nil {
		tb.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "la") // tb.TempDir is too long a path for sockets
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	opts := plugin.DefaultOptions()
	opts.Executable = plugin.Executable{Kind: sdk.StorageKind, Name: "memory", Path: path}
	opts.RunDir, opts.StateDir = dir, tb.TempDir()
	opts.Logger = hclog.NewNullLogger()
	opts.Lookup = func(name string) (string, bool) {
		if name == "NUMBER_OF_LINES" {
			return fmt.Sprint(lines), true
		}
		return "", false
	}
	s := plugin.NewSupervisor(opts)
	testrun.Start(tb, s.Run)
	ready, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Wait(ready); err != nil {
		tb.Fatal(err)
	}
	return s
}

func fill(tb testing.TB, s sdk.Storage, apps, lines int) {
	tb.Helper()
	sequence := uint64(0)
	for i := range apps {
		group := sdk.AppEntries{App: fmt.Sprintf("app-%02d", i)}
		for line := range lines {
			at := time.Date(2016, 10, 18, 20, 29, 38, 0, time.UTC).Add(time.Duration(line) * 10 * time.Millisecond)
			group.Entries = append(group.Entries, sdk.Entry{
				Time: at, Published: at.Add(time.Millisecond), Source: sdk.SourceApp, Process: "web", Release: "v2",
				Pod: "foo-web-845861952-nzf60", Stream: "stdout", Host: "node-10ye",
				Message: fmt.Sprintf("%-200d", line),
			})
		}
		for part := range slices.Chunk(group.Entries, 1000) {
			sequence++
			batch := sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: sequence}, Apps: []sdk.AppEntries{{App: group.App, Entries: part}}}
			if err := s.Append(tb.Context(), batch); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// TestPluginKilledWhileItIsRead kills the storage's process while readers take answers of several
// pages. Each gets a whole answer, or a 503 that explains in plain words what happened.
func TestPluginKilledWhileItIsRead(t *testing.T) {
	const lines = 20_000 // about 5 pages
	s := memoryPlugin(t, lines)
	storage := plugin.NewStorage(s)
	fill(t, storage, 1, lines)
	a := newAPI(storage)
	want := do(a, http.MethodGet, "/logs/app-00?log_lines=-1").Body.String()
	if strings.Count(want, "\n") != lines {
		t.Fatalf("%d lines", strings.Count(want, "\n"))
	}
	for range 5 {
		ready, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		inst, err := s.Wait(ready)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		var readers sync.WaitGroup
		var once sync.Once
		for range 3 {
			readers.Go(func() {
				for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
					w := do(a, http.MethodGet, "/logs/app-00?log_lines=-1")
					if w.Code == http.StatusOK {
						if w.Body.String() != want {
							t.Errorf("%d bytes, want %d", w.Body.Len(), len(want))
						}
						once.Do(func() { _ = syscall.Kill(inst.PID, syscall.SIGKILL) })
						continue
					}
					body := w.Body.String()
					if w.Code != http.StatusServiceUnavailable || body != "the storage plugin ended\n" && !strings.HasPrefix(body, "storage plugin memory ") {
						t.Errorf("%d %q", w.Code, body)
					}
					return
				}
				t.Error("the end was not noticed within 20 s")
			})
		}
		readers.Wait()
	}
}
