package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/storagetest"
)

// again is a storage that the suite can open again, with another number of lines.
type again struct{ *storage }

func (a again) Reopen(t *testing.T, lines int) sdk.Storage {
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	set := a.settings
	set.Lines = lines
	return openAt(t, set)
}

func openAt(t *testing.T, set settings) again {
	t.Helper()
	s, err := open(t.Context(), set, sdk.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.(*storage).Close() })
	return again{s.(*storage)}
}

func openEmpty(t *testing.T, lines int) sdk.Storage {
	set := sharedServer(t).settings()
	set.Lines = lines
	return openAt(t, set)
}

func TestConformance(t *testing.T)       { storagetest.Run(t, openEmpty) }
func TestConformanceRemote(t *testing.T) { storagetest.RunRemote(t, openEmpty) }

func TestConformanceExecutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logger-storage-postgres")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	storagetest.RunExecutable(t, path, func(t *testing.T) map[string]string {
		set := sharedServer(t).settings()
		return map[string]string{"POSTGRES_URL": set.URL, "POSTGRES_PASSWORD": set.Password, "POSTGRES_SCHEMA": set.Schema}
	})
}

// backend is a server that the suite takes away.
type backend struct{ server *server }

func (b backend) Break() error  { b.server.kill(); return nil }
func (b backend) Mend() error   { return b.server.start() }
func (b backend) Freeze() error { b.server.freeze(); return nil }
func (b backend) Thaw() error   { b.server.thaw(); return nil }

func TestConformanceFaults(t *testing.T) {
	storagetest.Faults(t, func(t *testing.T, lines int) (sdk.Storage, storagetest.Backend) {
		server := ownServer(t)
		set := server.settings()
		set.Lines = lines
		return openAt(t, set), backend{server}
	})
}

// bounded returns a context that ends by itself.
func bounded(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	time.AfterFunc(d, cancel)
	return ctx
}

// numbered makes the entries with these numbers, published in their order.
func numbered(first, last int) []sdk.Entry {
	var entries []sdk.Entry
	for i := first; i <= last; i++ {
		at := time.Unix(1_700_000_000+int64(i), 0).UTC()
		entries = append(entries, sdk.Entry{Time: at, Published: at, Message: fmt.Sprintf("line %d", i)})
	}
	return entries
}

// batch makes a batch of a writer for one app.
func batch(writer string, sequence uint64, app string, entries ...sdk.Entry) sdk.Batch {
	return sdk.Batch{ID: sdk.BatchID{Writer: writer, Sequence: sequence}, Apps: []sdk.AppEntries{{App: app, Entries: entries}}}
}
