package sdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/deis/logger/sdk/pluginpb"
)

// connect serves the registered services in process, as ServeStorage would.
func connect(t *testing.T, register func(*grpc.Server)) *grpc.ClientConn {
	t.Helper()
	logger := hclog.NewNullLogger()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(append(ServerOptions(),
		grpc.ChainUnaryInterceptor(recoverUnary(logger)), grpc.ChainStreamInterceptor(recoverStream(logger)))...)
	register(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	conn, err := grpc.NewClient("passthrough:///plugin", append(DialOptions(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-done
	})
	return conn
}

// scriptedStorage answers with the results of its functions.
type scriptedStorage struct {
	append func(context.Context, Batch) error
	read   func(context.Context, ReadOptions) (Page, error)
}

func (s scriptedStorage) Append(ctx context.Context, b Batch) error { return s.append(ctx, b) }
func (s scriptedStorage) Read(ctx context.Context, o ReadOptions) (Page, error) {
	return s.read(ctx, o)
}
func (scriptedStorage) Delete(context.Context, string) error { return nil }

func remote(t *testing.T, s Storage) *RemoteStorage {
	impl := &implementation[Storage]{value: s, opened: true}
	return NewRemoteStorage(connect(t, func(g *grpc.Server) {
		registerStorage(g, impl)
	}))
}

func fullEntry() Entry {
	return Entry{
		Time:      time.Date(2016, 10, 18, 20, 29, 38, 123456789, time.FixedZone("", 5*3600+45*60)),
		Published: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Source:    SourceController, Process: "web", Release: "v2", Pod: "foo-web-1-abc", Stream: "stderr", Host: "node", Container: "foo-web",
		Message: "caf\u00e9 \x00 \U0001F600\nsecond", CutBytes: 99,
	}
}

func sameEntry(a, b Entry) bool {
	_, offsetA := a.Time.Zone()
	_, offsetB := b.Time.Zone()
	same := a.Time.Equal(b.Time) && offsetA == offsetB && a.Published.Equal(b.Published)
	a.Time, b.Time, a.Published, b.Published = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return same && a == b
}

// TestMessagesAreOmitted over the wire, after the filter looked at them, and nothing else is. What
// the storage keeps stays as it is.
func TestMessagesAreOmitted(t *testing.T) {
	kept := []Entry{fullEntry(), fullEntry()}
	kept[0].Position, kept[1].Position = 1, 2
	kept[1].Message = "another"
	var asked ReadOptions
	storage := remote(t, scriptedStorage{read: func(_ context.Context, o ReadOptions) (Page, error) {
		asked = o
		return Page{Epoch: 1, Last: 2, Entries: kept}, nil
	}})
	for name, c := range map[string]struct {
		filter Filter
		asks   bool // for pages without messages
		want   []Entry
	}{
		"no filter":      {Filter{}, true, kept},
		"of fields":      {Filter{Process: []string{"web"}}, true, kept},
		"of the message": {Filter{Include: []string{"^another$"}}, false, kept[1:]},
		"of another":     {Filter{Exclude: []string{"another"}}, false, kept[:1]},
	} {
		page, err := storage.Read(t.Context(), ReadOptions{App: "foo", Limit: -1, Filter: c.filter, OmitMessages: true})
		if err != nil || len(page.Entries) != len(c.want) || asked.OmitMessages != c.asks {
			t.Errorf("%s: %d entries, %v, of %+v", name, len(page.Entries), err, asked)
			continue
		}
		for i, want := range c.want {
			if want.Message = ""; !sameEntry(page.Entries[i], want) {
				t.Errorf("%s: %+v, want %+v", name, page.Entries[i], want)
			}
		}
	}
	if kept[0].Message == "" || kept[1].Message == "" {
		t.Errorf("the storage's own entries are %+v", kept)
	}
	if page, err := storage.Read(t.Context(), ReadOptions{App: "foo", Limit: -1}); err != nil || !sameEntry(page.Entries[1], kept[1]) {
		t.Errorf("with messages: %+v, %v", page.Entries, err)
	}
}

func TestEntriesSurviveTheWire(t *testing.T) {
	entries := []Entry{
		fullEntry(),
		{Time: time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("", -30*60))},
		{Time: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.FixedZone("", 14*3600))},
		{Time: time.Unix(0, 0).In(time.FixedZone("", 3600+17))},
		{},
	}
	var got Batch
	storage := remote(t, scriptedStorage{
		append: func(_ context.Context, b Batch) error { got = cloneBatch(b); return nil },
		read: func(_ context.Context, o ReadOptions) (Page, error) {
			page := Page{Epoch: o.After.Epoch, Last: 100, Entries: slices.Clone(entries), Version: 5}
			for i := range page.Entries {
				page.Entries[i].Position = o.After.Position + uint64(2*i+1)
			}
			return page, nil
		},
	})
	sent := Batch{ID: BatchID{Writer: "w", Sequence: 1 << 60}, Apps: []AppEntries{{App: "a", Entries: entries}, {App: "b"}}}
	if err := storage.Append(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	if got.ID != sent.ID || len(got.Apps) != 2 || got.Apps[0].App != "a" || got.Apps[1].App != "b" || got.Len() != len(entries) {
		t.Fatalf("got %+v", got)
	}
	page, err := storage.Read(t.Context(), ReadOptions{App: "a", Limit: len(entries), After: Cursor{Epoch: 1 << 63, Position: 41}})
	if err != nil || page.Epoch != 1<<63 || page.Last != 100 || !page.More || page.Version != 5 || page.Gone != 4 ||
		page.Next != (Cursor{Epoch: 1 << 63, Position: 50}) {
		t.Fatalf("got %+v, %v", page, err)
	}
	for i, want := range entries {
		if !sameEntry(got.Apps[0].Entries[i], want) {
			t.Errorf("appended entry %d: got %+v, want %+v", i, got.Apps[0].Entries[i], want)
		}
		if want.Position = uint64(42 + 2*i); !sameEntry(page.Entries[i], want) {
			t.Errorf("read entry %d: got %+v, want %+v", i, page.Entries[i], want)
		}
	}
}

// TestLargePagesComeInParts: for each way of reading, the next page has what did not fit.
func TestLargePagesComeInParts(t *testing.T) {
	const n = 100
	var log []Entry
	for i := range n {
		log = append(log, Entry{
			Position: uint64(i + 1), Published: time.Unix(int64(i*7%n+1), 0), Message: strings.Repeat("x", pageBytes/10), CutBytes: uint64(i),
		})
	}
	storage := remote(t, scriptedStorage{read: func(_ context.Context, o ReadOptions) (Page, error) {
		return Answer(1, n, slices.Clone(log), o), nil
	}})
	end := Cursor{Epoch: 1, Position: n}
	byTime := slices.SortedFunc(slices.Values(log), byPublishing)
	for name, tc := range map[string]struct {
		opts ReadOptions
		want []Entry
	}{
		"newest":  {ReadOptions{Limit: -1}, byTime},
		"arrival": {ReadOptions{Limit: -1, After: Beginning()}, log},
		"history": {ReadOptions{Limit: -1, After: end.HistoryBegin()}, byTime},
	} {
		var got []Entry
		opts := tc.opts
		for {
			page, err := storage.Read(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Entries) > 10 {
				t.Fatalf("%s: a page of %d entries", name, len(page.Entries))
			}
			if name == "newest" {
				got, opts.Before = append(page.Entries, got...), page.Next
			} else {
				got, opts.After = append(got, page.Entries...), page.Next
			}
			if !page.More {
				break
			}
		}
		if !sameEntries(got, tc.want) {
			t.Errorf("%s: %d entries, want %d, or not in their order", name, len(got), len(tc.want))
		}
	}
}

func TestErrorsKeepTheirIdentity(t *testing.T) {
	var failure error
	storage := remote(t, scriptedStorage{append: func(context.Context, Batch) error { return failure }})
	for _, row := range errorTable {
		t.Run(row.err.Error(), func(t *testing.T) {
			failure = fmt.Errorf("append to %q: %w", "foo", row.err)
			ctx, cancel := context.WithCancel(t.Context())
			if row.code == codes.Canceled { // that code means the caller's own context
				failure = nil
				cancel()
			}
			err := storage.Append(ctx, Batch{})
			cancel()
			if !errors.Is(err, row.err) || failure != nil && err.Error() != failure.Error() {
				t.Errorf("got %v, want %v with its identity", err, failure)
			}
			for _, other := range errorTable {
				if !errors.Is(row.err, other.err) && errors.Is(err, other.err) {
					t.Errorf("%v is also %v", err, other.err)
				}
			}
			if HTTPStatus(err) != row.status {
				t.Errorf("status %d, want %d", HTTPStatus(err), row.status)
			}
		})
	}
	failure = context.Canceled // of the plugin's context, not the caller's
	if err := storage.Append(t.Context(), Batch{}); !errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) {
		t.Errorf("a call that the plugin gave up: %v", err)
	}
	failure = errors.New("disk on fire")
	err := storage.Append(t.Context(), Batch{})
	if err == nil || !strings.Contains(err.Error(), "disk on fire") || HTTPStatus(err) != http.StatusServiceUnavailable {
		t.Errorf("an error without identity: %v, status %d", err, HTTPStatus(err))
	}
}

func TestPanicIsAnErrorOfThatCall(t *testing.T) {
	storage := remote(t, scriptedStorage{
		append: func(context.Context, Batch) error { panic("boom") },
		read:   func(context.Context, ReadOptions) (Page, error) { return Page{Epoch: 5}, nil },
	})
	if err := storage.Append(t.Context(), Batch{}); !errors.Is(err, ErrPanic) || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v", err)
	}
	if page, err := storage.Read(t.Context(), ReadOptions{}); err != nil || page.Epoch != 5 {
		t.Errorf("the next call: %+v, %v", page, err)
	}
}

func TestOptionalCallsAreUnsupported(t *testing.T) {
	storage := remote(t, scriptedStorage{})
	if _, err := storage.Apps(t.Context(), "", 0); !errors.Is(err, ErrUnsupported) {
		t.Errorf("apps: %v", err)
	}
	if _, err := storage.App(t.Context(), "a"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("app: %v", err)
	}
	if _, err := storage.Totals(t.Context()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("totals: %v", err)
	}
	if _, err := storage.Versions(t.Context(), []string{"a"}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("versions: %v", err)
	}
	if err := storage.Follow(t.Context(), "a", Cursor{}, nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("follow: %v", err)
	}
}

func TestCallsBeforeConfigureAreUnavailable(t *testing.T) {
	storage := NewRemoteStorage(connect(t, func(g *grpc.Server) {
		registerStorage(g, &implementation[Storage]{})
	}))
	if err := storage.Append(t.Context(), Batch{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// scriptedAggregator runs a function.
type scriptedAggregator func(ctx context.Context, deliver Deliver) error

func (a scriptedAggregator) Run(ctx context.Context, deliver Deliver) error { return a(ctx, deliver) }

func remoteAggregator(t *testing.T, a Aggregator, grace time.Duration) *RemoteAggregator {
	impl := &implementation[Aggregator]{value: a, opened: true}
	return NewRemoteAggregator(connect(t, func(g *grpc.Server) {
		pluginpb.RegisterAggregatorServiceServer(g, &aggregatorServer{impl: impl})
	}), grace)
}

func TestAggregatorDeliversInOrderAndLearnsOutcomes(t *testing.T) {
	const batches = 200
	refused := errors.New("no")
	outcomes := make(chan error, batches)
	a := remoteAggregator(t, scriptedAggregator(func(ctx context.Context, deliver Deliver) error {
		var receipts []*Receipt
		for i := range batches {
			r, err := deliver(ctx, []Message{{
				ID: fmt.Sprint(i), Payload: []byte{byte(i)}, Attempts: 3,
				Published: time.Unix(0, int64(i+1)), Attributes: map[string]string{"k": "v"},
			}})
			if err != nil {
				return err
			}
			receipts = append(receipts, r)
		}
		for _, r := range receipts {
			outcomes <- r.Wait(ctx)
		}
		return nil
	}), time.Second)
	var got []string
	err := a.Run(t.Context(), func(_ context.Context, messages []Message) (*Receipt, error) {
		m := messages[0]
		got = append(got, m.ID)
		if m.Attempts != 3 || m.Attributes["k"] != "v" || len(m.Payload) != 1 || m.Published.UnixNano() != int64(len(got)) {
			t.Errorf("got %+v", m)
		}
		r := NewReceipt()
		if len(got)%10 == 0 {
			r.Resolve(fmt.Errorf("%w: %w", refused, ErrFull))
		} else {
			r.Resolve(nil)
		}
		return r, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range batches {
		if got[i] != fmt.Sprint(i) {
			t.Fatalf("batch %d is %s", i, got[i])
		}
		if err := <-outcomes; (i+1)%10 == 0 != errors.Is(err, ErrFull) {
			t.Errorf("outcome of batch %d: %v", i, err)
		}
	}
}

func TestAggregatorStop(t *testing.T) {
	for _, tc := range []struct {
		name    string
		resolve bool // the receipt that is open at the stop, within the grace
		want    error
	}{
		{"acks in time", true, nil},
		{"grace is over", false, ErrStopping},
	} {
		t.Run(tc.name, func(t *testing.T) {
			outcome := make(chan error, 1)
			a := remoteAggregator(t, scriptedAggregator(func(ctx context.Context, deliver Deliver) error {
				r, err := deliver(ctx, []Message{{ID: "1"}})
				if err != nil {
					return err
				}
				<-ctx.Done()
				<-r.Done()
				outcome <- r.Err()
				return nil
			}), 50*time.Millisecond)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			owed := NewReceipt()
			var wg sync.WaitGroup
			defer wg.Wait()
			err := a.Run(ctx, func(deliverCtx context.Context, _ []Message) (*Receipt, error) {
				stop()
				if deliverCtx.Err() != nil {
					t.Error("the stop ended the delivery's context")
				}
				if tc.resolve {
					wg.Go(func() { owed.Resolve(nil) })
				}
				return owed, nil
			})
			if err != nil {
				t.Errorf("run: %v", err)
			}
			if err := <-outcome; !errors.Is(err, tc.want) {
				t.Errorf("outcome %v, want %v", err, tc.want)
			}
			owed.Resolve(nil)
		})
	}
}

func TestAggregatorThatIgnoresTheStopIsCutOff(t *testing.T) {
	release := make(chan struct{})
	a := remoteAggregator(t, scriptedAggregator(func(context.Context, Deliver) error {
		<-release
		return nil
	}), 10*time.Millisecond)
	defer close(release)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := a.Run(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCheckApp(t *testing.T) {
	for _, app := range []string{"a", "foo", "my-long-app", "A.b_c-d", "0", strings.Repeat("x", 253)} {
		if err := CheckApp(app); err != nil {
			t.Errorf("%q: %v", app, err)
		}
	}
	for _, app := range []string{"", "-a", "a-", ".", "..", "a/b", "a b", "a\n", "caf\u00e9", "a{b}", "a:b", "a%2f", strings.Repeat("x", 254)} {
		if err := CheckApp(app); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", app, err)
		}
	}
}
