// Package storagetest is the conformance suite of [sdk.Storage]: every obligation that the contract
// states, as a subtest. A storage's author runs it in tests, in three ways: directly ([Run]), over
// gRPC in the same process ([RunRemote]), and against the executable that an operator installs
// ([RunExecutable]), which may be written in any language. [Check] does the last without go test;
// the command "logger plugins check" uses it. [Faults], [FaultsExecutable] and [CheckWithBackend]
// check what a storage does while its backend is away.
//
// # What a storage may do
//
// The suite asks for what the contract promises and for no more:
//
//   - The window, the newest NUMBER_OF_LINES entries, is exact to 100 ms at its old end: of two
//     entries that were published less than 100 ms apart, either may be the one that is kept.
//   - After a cursor, a storage answers everything that is kept. It may also answer
//     entries that have left the window and are not deleted yet.
//   - The entries of a batch get the next positions in any order among themselves.
//   - A page may end early, with More set.
//
// The suite appends entries as a queue delivers them: from several sources, each in the order of
// publishing by itself.
//
// A check of something optional that the storage lacks is reported as left out ("left out: no
// Follow"), and so is a check that the author leaves out with [plugintest.Without].
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// patience bounds every call: a storage that hangs fails the suite, not the run. [waits] bounds the
// time that a whole run waits in vain.
const patience = 20 * time.Second

// Reopener is a storage that can be opened again on what it has stored. Open gives it to the suite.
// The check LoweredLines needs it, and is left out for other storages.
type Reopener interface {
	sdk.Storage
	// Reopen closes the storage and opens it again, with another number of lines.
	Reopen(t *testing.T, lines int) sdk.Storage
}

// Run checks the storages that open makes. Each subtest opens its own. Open returns an empty
// storage that keeps the newest entries of each app, as many as lines says, and has room for at
// least 16 MiB. The suite never closes a storage: open registers that with t.Cleanup.
//
// The optional interfaces, [Reopener] among them, are checked if the storage has them. A storage
// whose calls fail with [sdk.ErrUnsupported] counts as lacking them.
func Run(t *testing.T, open func(t *testing.T, lines int) sdk.Storage, opts ...plugintest.Option) {
	t.Helper()
	plugintest.Run(t, checks(true, &waits{}, func(t plugintest.T, lines int) sdk.Storage {
		return open(t.(*testing.T), lines)
	}), opts...)
}

// RunRemote does what [Run] does, with the wire in between: the storage is called over gRPC, in the
// same process.
func RunRemote(t *testing.T, open func(t *testing.T, lines int) sdk.Storage, opts ...plugintest.Option) {
	t.Helper()
	plugintest.Run(t, checks(false, &waits{}, func(t plugintest.T, lines int) sdk.Storage {
		return serve(t, open(t.(*testing.T), lines))
	}), opts...)
}

// remote wraps a storage behind the wire that may be opened again.
type remote struct {
	*sdk.RemoteStorage
	opened Reopener
}

func serve(t plugintest.T, storage sdk.Storage) sdk.Storage {
	client := sdk.NewRemoteStorage(plugintest.Serve(t, func(s *grpc.Server) { sdk.RegisterStorage(s, storage) }))
	if again, ok := storage.(Reopener); ok {
		return remote{client, again}
	}
	return client
}

// Reopen implements [Reopener].
func (r remote) Reopen(t *testing.T, lines int) sdk.Storage {
	return serve(t, r.opened.Reopen(t, lines))
}

// checks returns the suite, over storages that open makes. Direct ones are in this process.
func checks(direct bool, waits *waits, open func(t plugintest.T, lines int) sdk.Storage) (all []plugintest.Check) {
	for _, c := range []struct {
		name  string
		lines int
		check func(*subject)
	}{
		{"Absent", 10, absent},
		{"OrderOfPublishing", 1000, orderOfPublishing},
		{"Positions", 1000, positions},
		{"Limits", 100, limits},
		{"KeepsNewest", 10, keepsNewest},
		{"OneLine", 1, oneLine},
		{"LateArrivals", 20, lateArrivals},
		{"After", 100, after},
		{"AfterOtherEpoch", 10, afterOtherEpoch},
		{"HolesAreGaps", 10, holesAreGaps},
		{"Histories", 100, histories},
		{"HistoryOtherEpoch", 10, historyOtherEpoch},
		{"Before", 100, before},
		{"Delete", 10, deletion},
		{"DeleteAbsent", 10, deleteAbsent},
		{"Filters", 1000, filters},
		{"FilterAndLimit", 1000, filterAndLimit},
		{"OmitMessages", 1000, omitMessages},
		{"FilterAndGone", 20, filterAndGone},
		{"FilterRefused", 10, filterRefused},
		{"Retry", 100, retry},
		{"RetryInterleaved", 100, retryInterleaved},
		{"RetrySeveralApps", 100, retrySeveralApps},
		{"RetryPartlyStored", 100, retryPartlyStored},
		{"RetryFewerApps", 100, retryFewerApps},
		{"RetryAfterTrim", 3, retryAfterTrim},
		{"LowerSequence", 100, lowerSequence},
		{"EmptyBatch", 10, emptyBatch},
		{"Fields", 100, fields},
		{"Messages", 100, messages},
		{"Times", 100, times},
		{"LongMessages", 100, longMessages},
		{"AppNames", 10, appNames},
		{"Ownership", 10, ownership},
		{"LargeLogs", 12_000, largeLogs},
		{"RandomArrivals", 40, randomArrivals},
		{"ConcurrentWriters", 10_000, concurrentWriters},
		{"ConcurrentTrim", 20, concurrentTrim},
		{"ConcurrentDelete", 1000, concurrentDelete},
		{"Cancelled", 100, cancelled},
		{"FollowFrom", 10, followFrom},
		{"FollowAhead", 10, followAhead},
		{"FollowNew", 10_000, followNew},
		{"FollowConcurrent", 10_000, followConcurrent},
		{"FollowTrim", 20, followTrim},
		{"FollowLate", 10, followLate},
		{"DeleteWakesFollower", 100, deleteWakesFollower},
		{"FollowDelete", 100, followDelete},
		{"FollowEnds", 100, followEnds},
		{"FollowLarge", 10_000, followLarge},
		{"FollowMany", 100, followMany},
		{"Versions", 10, versions},
		{"AppsPaged", 10, appsPaged},
		{"Totals", 10, totals},
		{"LoweredLines", 20, loweredLines},
		{"Check", 10, check},
	} {
		if c.name == "Check" && !direct {
			continue // behind the wire it is the plugin's, and checked for every plugin
		}
		all = append(all, plugintest.Check{Name: c.name, Run: func(t plugintest.T) {
			c.check(&subject{T: t, storage: open(t, c.lines), direct: direct, writer: "suite", waits: waits})
		}})
	}
	return all
}

// subject holds one storage under test, and the writer that fills it.
type subject struct {
	plugintest.T
	storage  sdk.Storage
	direct   bool // it is in this process, so that the SDK has not completed its pages
	writer   string
	sequence uint64
	waits    *waits
}

// waits bounds the time that all checks of one run together wait in vain. The first wait takes all
// of the patience, and those that begin after it half as long in sum. So all checks report a Follow
// that hangs within a minute.
type waits struct {
	mu     sync.Mutex
	inVain bool
	left   time.Duration // once a check has waited in vain
}

// patience returns how long the next wait may take.
func (w *waits) patience() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.inVain {
		return patience
	}
	return max(min(patience/10, w.left), patience/1000)
}

// spent notes that a check waited in vain for so long.
func (w *waits) spent(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.inVain:
		w.inVain, w.left = true, patience/2
	case d < patience: // else it began before the first ended
		w.left = max(0, w.left-d)
	}
}

// bound gives ctx a deadline, which counts as a wait in vain if it is met.
func (w *waits) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	d := max(w.patience(), patience/20) // calls are few
	bounded, cancel := context.WithTimeout(ctx, d)
	return bounded, sync.OnceFunc(func() {
		if errors.Is(bounded.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
			w.spent(d)
		}
		cancel()
	})
}

// without leaves the check out if the storage lacks what it checks.
func (s *subject) without(has bool, what string) {
	s.Helper()
	if !has {
		s.Skipf("left out: no %s", what)
	}
}

// call gives a context for one call.
func (s *subject) call() (context.Context, context.CancelFunc) { return s.waits.bound(s.Context()) }

// next names the writer's next batch.
func (s *subject) next() sdk.BatchID {
	s.sequence++
	return sdk.BatchID{Writer: s.writer, Sequence: s.sequence}
}

// append stores the entries as one batch of its own.
func (s *subject) append(app string, entries ...sdk.Entry) {
	s.Helper()
	s.appendBatch(one(s.next(), app, entries))
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

// want compares entries with those that should be there, in that order.
func (s *subject) want(got []sdk.Entry, want ...sdk.Entry) {
	s.Helper()
	if len(got) != len(want) {
		s.Fatalf("%d entries, want %d: got %s, want %s", len(got), len(want), gist(got), gist(want))
	}
	for i := range want {
		if diff := differ(got[i], want[i]); diff != "" {
			s.Fatalf("entry %d of %d: %s", i+1, len(want), diff)
		}
	}
}

// wantKept expects exactly these entries to be kept, and last entries to have arrived.
func (s *subject) wantKept(app string, last int, entries ...sdk.Entry) sdk.Page {
	s.Helper()
	page := s.all(app)
	s.want(page.Entries, entries...)
	if page.Last != uint64(last) {
		s.Errorf("the last position is %d, want %d", page.Last, last)
	}
	return page
}

// differ says how two entries differ, or nothing. Positions are not compared.
func differ(got, want sdk.Entry) string {
	_, gotOffset := got.Time.Zone()
	_, wantOffset := want.Time.Zone()
	switch {
	case got.Message != want.Message:
		same := 0
		for same < min(len(got.Message), len(want.Message)) && got.Message[same] == want.Message[same] {
			same++
		}
		return fmt.Sprintf("message of %d bytes, want %d; from byte %d on %.80q, want %.80q",
			len(got.Message), len(want.Message), same, got.Message[same:], want.Message[same:])
	case !got.Time.Equal(want.Time):
		return fmt.Sprintf("time is %s, want %s", got.Time, want.Time)
	case gotOffset != wantOffset:
		return fmt.Sprintf("time has offset %d s, want %d s", gotOffset, wantOffset)
	case !got.Published.Equal(want.Published):
		return fmt.Sprintf("published is %s, want %s", got.Published, want.Published)
	}
	// What is left differs in fields that == tells apart.
	for _, e := range []*sdk.Entry{&got, &want} {
		e.Time, e.Published, e.Message, e.Position = time.Time{}, time.Time{}, "", 0
	}
	if got != want {
		return fmt.Sprintf("got %+v, want %+v", got, want)
	}
	return ""
}

// gist returns a short form of entries, for a failure's line.
func gist(entries []sdk.Entry) string {
	switch {
	case len(entries) == 0:
		return "none"
	case len(entries) > 12:
		return fmt.Sprintf("%.40q to %.40q", entries[0].Message, entries[len(entries)-1].Message)
	}
	var texts []string
	for i := range entries {
		texts = append(texts, fmt.Sprintf("%.20s", entries[i].Message))
	}
	return fmt.Sprintf("%q", texts)
}

// line makes the entry with this number, as an app prints it. Entries are published in the
// order of their numbers, a second after each other.
func line(number int) sdk.Entry {
	at := time.Date(2016, 10, 18, 20, 29, 38, 123456000, time.UTC).Add(time.Duration(number) * time.Second)
	return sdk.Entry{
		Time: at, Published: at.Add(time.Millisecond), Source: sdk.SourceApp, Process: "web", Release: "v2",
		Pod: "foo-web-845861952-nzf60", Container: "foo-web", Stream: "stdout", Host: "node-1", Message: fmt.Sprintf("line %d", number),
	}
}

// lines makes the entries with these numbers.
func lines(numbers ...int) []sdk.Entry {
	entries := make([]sdk.Entry, len(numbers))
	for i, n := range numbers {
		entries[i] = line(n)
	}
	return entries
}

// numbered makes the entries from number first to last.
func numbered(first, last int) []sdk.Entry { return every(1, first, last) }

// every makes the entries from number first to last, step apart.
func every(step, first, last int) []sdk.Entry {
	var entries []sdk.Entry
	for i := first; i <= last; i += step {
		entries = append(entries, line(i))
	}
	return entries
}

// published returns a copy of the entries in the order of publishing.
func published(lists ...[]sdk.Entry) []sdk.Entry {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b sdk.Entry) int { return a.Published.Compare(b.Published) })
	return all
}
