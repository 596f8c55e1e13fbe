// Package storagetest is the conformance suite of [sdk.Storage]: every obligation
// that the contract states, as a subtest. A storage's author runs it in tests of
// their own, in three ways: direct ([Run]), over gRPC in the same process
// ([RunRemote]), and against the executable that an operator installs
// ([RunExecutable]), which may be written in any language. A program runs the last
// without go test ([Check]); the command "logger plugins check" is one.
package storagetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// patience bounds every call: a storage that hangs fails the suite, not the run.
var patience = 30 * time.Second

// Run checks the storages that open makes. Each subtest opens its own, empty one,
// that keeps the newest lines entries of each app and has room for at least 16 MiB.
// The suite never closes a storage: open registers that with t.Cleanup.
//
// The optional interfaces are checked when the storage has them; one whose calls
// fail with [sdk.ErrUnsupported] counts as not having them. What else a storage cannot
// do is left out by name, with [plugintest.Without], and printed.
func Run(t *testing.T, open func(t *testing.T, lines int) sdk.Storage, opts ...plugintest.Option) {
	t.Helper()
	plugintest.Run(t, checks(func(t plugintest.T, lines int) sdk.Storage {
		return open(t.(*testing.T), lines)
	}), opts...)
}

// RunRemote is [Run] with the wire in between: the storage is called over gRPC, in the
// same process.
func RunRemote(t *testing.T, open func(t *testing.T, lines int) sdk.Storage, opts ...plugintest.Option) {
	t.Helper()
	Run(t, func(t *testing.T, lines int) sdk.Storage {
		storage := open(t, lines)
		remote := sdk.NewRemoteStorage(plugintest.Serve(t, func(s *grpc.Server) { sdk.RegisterStorage(s, storage) }))
		remote.SameLabels = true // as a host has it
		return remote
	}, opts...)
}

// checks is the suite, over storages that open makes.
func checks(open func(t plugintest.T, lines int) sdk.Storage) (all []plugintest.Check) {
	for _, c := range []struct {
		name  string
		lines int
		check func(*subject)
	}{
		{"Absent", 10, absent},
		{"Order", 1000, order},
		{"Limits", 100, limits},
		{"Trim", 10, trim},
		{"TrimOneBatch", 10, trimOneBatch},
		{"OneLine", 1, oneLine},
		{"After", 100, after},
		{"Gap", 10, gap},
		{"AfterOtherEpoch", 10, afterOtherEpoch},
		{"Known", 20, known},
		{"Oldest", 10, oldest},
		{"Delete", 10, deletion},
		{"DeleteAbsent", 10, deleteAbsent},
		{"Retry", 100, retry},
		{"RetryInterleaved", 100, retryInterleaved},
		{"RetrySeveralApps", 100, retrySeveralApps},
		{"RetryPartlyStored", 100, retryPartlyStored},
		{"RetryAfterTrim", 3, retryAfterTrim},
		{"LowerSequence", 100, lowerSequence},
		{"EmptyBatch", 10, emptyBatch},
		{"Fields", 100, fields},
		{"Messages", 100, messages},
		{"Times", 100, times},
		{"LongMessages", 100, longMessages},
		{"AppNames", 10, appNames},
		{"Ownership", 10, ownership},
		{"Copies", 100, copies},
		{"ConcurrentWriters", 10_000, concurrentWriters},
		{"ConcurrentTrim", 20, concurrentTrim},
		{"ConcurrentDelete", 1000, concurrentDelete},
		{"Cancelled", 100, cancelled},
		{"FollowFrom", 10, followFrom},
		{"FollowAhead", 10, followAhead},
		{"FollowNew", 10_000, followNew},
		{"FollowConcurrent", 10_000, followConcurrent},
		{"FollowTrim", 20, followTrim},
		{"FollowDelete", 100, followDelete},
		{"FollowEnds", 100, followEnds},
		{"FollowLarge", 10_000, followLarge},
		{"FollowMany", 100, followMany},
		{"Apps", 10, apps},
		{"Books", 10, books},
		{"Check", 10, check},
	} {
		all = append(all, plugintest.Check{Name: c.name, Run: func(t plugintest.T) {
			c.check(&subject{T: t, storage: open(t, c.lines), writer: "suite"})
		}})
	}
	return all
}

// subject is one storage under test and the writer that fills it.
type subject struct {
	plugintest.T
	storage  sdk.Storage
	writer   string
	sequence uint64
}

// call gives a context for one call.
func (s *subject) call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.Context(), patience)
}

// next names the writer's next batch.
func (s *subject) next() sdk.BatchID {
	s.sequence++
	return sdk.BatchID{Writer: s.writer, Sequence: s.sequence}
}

// append stores the entries as one batch of its own.
func (s *subject) append(app string, entries ...sdk.Entry) {
	s.Helper()
	s.appendBatch(sdk.Batch{ID: s.next(), Apps: []sdk.AppEntries{{App: app, Entries: entries}}})
}

func (s *subject) appendBatch(batch sdk.Batch) {
	s.Helper()
	ctx, cancel := s.call()
	defer cancel()
	if err := s.storage.Append(ctx, batch); err != nil {
		s.Fatalf("Append(%+v): %v", batch.ID, err)
	}
}

func (s *subject) delete(app string) {
	s.Helper()
	ctx, cancel := s.call()
	defer cancel()
	if err := s.storage.Delete(ctx, app); err != nil {
		s.Fatalf("Delete(%q): %v", app, err)
	}
}

// read is one Read that goes on as long as the page says that there is more.
func (s *subject) read(opts sdk.ReadOptions) sdk.Page {
	s.Helper()
	page, err := readAll(s.Context(), s.storage, opts)
	if err != nil {
		s.Fatal(err)
	}
	return page
}

// all reads everything that is kept of the app.
func (s *subject) all(app string) sdk.Page {
	s.Helper()
	return s.read(sdk.ReadOptions{App: app, Limit: -1})
}

// readAll checks on the way what holds for every page.
func readAll(ctx context.Context, storage sdk.Storage, opts sdk.ReadOptions) (whole sdk.Page, err error) {
	for first := true; ; first = false {
		page, err := readOnce(ctx, storage, opts)
		if err != nil {
			return whole, err
		}
		if first {
			whole = page
		} else {
			if page.Epoch != whole.Epoch || page.First != whole.End().Position+1 {
				return whole, fmt.Errorf("Read(%+v) after a page with More: epoch %x first %d, want epoch %x first %d",
					opts, page.Epoch, page.First, whole.Epoch, whole.End().Position+1)
			}
			whole.Entries = append(whole.Entries, page.Entries...)
		}
		if !page.More {
			whole.More = false
			return whole, nil
		}
		if opts.Limit > 0 {
			opts.Limit -= len(page.Entries)
		}
		opts.After = page.End()
	}
}

func readOnce(ctx context.Context, storage sdk.Storage, opts sdk.ReadOptions) (sdk.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	page, err := storage.Read(ctx, opts)
	switch {
	case err != nil:
		return page, fmt.Errorf("Read(%+v): %w", opts, err)
	case opts.Limit >= 0 && len(page.Entries) > opts.Limit:
		return page, fmt.Errorf("Read(%+v): %d entries are more than asked for", opts, len(page.Entries))
	case len(page.Entries) > 0 && page.Epoch == 0:
		return page, fmt.Errorf("Read(%+v): entries without an epoch", opts)
	case page.First == 0:
		return page, fmt.Errorf("Read(%+v): first is 0: positions begin at 1, also the one that the next entry will get", opts)
	case page.More && len(page.Entries) == 0:
		return page, fmt.Errorf("Read(%+v): more, and no entry to go on from", opts)
	case page.Oldest > page.First:
		return page, fmt.Errorf("Read(%+v): oldest is %d and the page begins before it, at %d", opts, page.Oldest, page.First)
	case page.Oldest != 0 && page.Oldest != page.First && opts.Limit < 0 && opts.After.IsZero() && opts.Known.IsZero():
		return page, fmt.Errorf("Read(%+v): oldest is %d and all that is kept begins at %d", opts, page.Oldest, page.First)
	}
	return page, nil
}

// want compares a page with the entries that it should hold, the first of them at
// the position.
func (s *subject) want(page sdk.Page, first uint64, entries ...sdk.Entry) {
	s.Helper()
	if page.First != first {
		s.Errorf("first position is %d, want %d", page.First, first)
	}
	if len(page.Entries) != len(entries) {
		s.Fatalf("%d entries, want %d: got %s, want %s", len(page.Entries), len(entries), gist(page.Entries), gist(entries))
	}
	for i := range entries {
		if diff := differ(page.Entries[i], entries[i]); diff != "" {
			s.Errorf("entry at position %d: %s", first+uint64(i), diff)
		}
	}
}

// differ says how two entries differ, or nothing.
func differ(got, want sdk.Entry) string {
	_, gotOffset := got.Time.Zone()
	_, wantOffset := want.Time.Zone()
	switch {
	case !got.Time.Equal(want.Time):
		return fmt.Sprintf("time is %s, want %s", got.Time, want.Time)
	case gotOffset != wantOffset:
		return fmt.Sprintf("time has offset %d s, want %d s", gotOffset, wantOffset)
	case !got.Published.Equal(want.Published):
		return fmt.Sprintf("published is %s, want %s", got.Published, want.Published)
	case got.Message != want.Message:
		same := 0
		for same < min(len(got.Message), len(want.Message)) && got.Message[same] == want.Message[same] {
			same++
		}
		return fmt.Sprintf("message of %d bytes, want %d; from byte %d on %.80q, want %.80q",
			len(got.Message), len(want.Message), same, got.Message[same:], want.Message[same:])
	}
	// What is left differs in fields that == tells apart.
	got.Time, got.Published, got.Message = time.Time{}, time.Time{}, ""
	want.Time, want.Published, want.Message = time.Time{}, time.Time{}, ""
	if got != want {
		return fmt.Sprintf("got %+v, want %+v", got, want)
	}
	return ""
}

// gist is a short form of entries, for a failure's line.
func gist(entries []sdk.Entry) string {
	if len(entries) == 0 {
		return "none"
	}
	return fmt.Sprintf("%.40q to %.40q", entries[0].Message, entries[len(entries)-1].Message)
}

// numbered makes the entries from number first to last, as an app prints them.
func numbered(first, last int) []sdk.Entry {
	var entries []sdk.Entry
	for i := first; i <= last; i++ {
		at := time.Date(2016, 10, 18, 20, 29, 38, 123456000, time.UTC).Add(time.Duration(i) * time.Second)
		entries = append(entries, sdk.Entry{
			Time: at, Published: at.Add(time.Millisecond), Source: sdk.SourceApp, Process: "web", Release: "v2",
			Pod: "foo-web-845861952-nzf60", Stream: "stdout", Host: "node-1", Message: fmt.Sprintf("line %d", i),
		})
	}
	return entries
}
