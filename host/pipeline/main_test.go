package pipeline

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStorage keeps each batch id's entries once, and fails as told.
type fakeStorage struct {
	mu      sync.Mutex
	stored  map[string][]sdk.Entry
	batches []sdk.Batch // as appended, repetitions included
	seen    map[appBatch]bool
	// fail, if set, is called before an append is stored; after, once it is stored.
	fail, after func(b sdk.Batch) error
}

// appBatch holds an app's part of a batch.
type appBatch struct {
	id  sdk.BatchID
	app string
}

func newFakeStorage() *fakeStorage {
	return &fakeStorage{stored: map[string][]sdk.Entry{}, seen: map[appBatch]bool{}}
}

// newHeldStorage returns a storage whose first append, which entered tells of, ends once release is
// closed.
func newHeldStorage() (s *fakeStorage, entered <-chan struct{}, release chan<- struct{}) {
	in, out := make(chan struct{}, 1), make(chan struct{})
	s = newFakeStorage()
	s.fail = func(sdk.Batch) error {
		select {
		case in <- struct{}{}:
			<-out
		default:
		}
		return nil
	}
	return s, in, out
}

func (s *fakeStorage) Wait(ctx context.Context) error { return ctx.Err() }

func (s *fakeStorage) Ready() bool { return true }

// Read answers with the app's stored entries, whose positions are in the order of the appends.
func (s *fakeStorage) Read(_ context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := slices.Clone(s.stored[opts.App])
	for i := range entries {
		entries[i].Position = uint64(i + 1)
	}
	return sdk.ReadFiltered(context.Background(), answering(entries), opts)
}

// answering implements a log with these entries.
type answering []sdk.Entry

func (a answering) Read(_ context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	if len(a) == 0 {
		return sdk.Page{}, nil
	}
	return sdk.Answer(1, uint64(len(a)), slices.Clone(a), opts), nil
}

// clone copies the batch: the pipeline reuses a batch's memory.
func clone(b sdk.Batch) sdk.Batch {
	b.Apps = slices.Clone(b.Apps)
	for i := range b.Apps {
		b.Apps[i].Entries = slices.Clone(b.Apps[i].Entries)
	}
	return b
}

func (s *fakeStorage) Append(_ context.Context, b sdk.Batch) error {
	s.mu.Lock()
	s.batches = append(s.batches, clone(b))
	fail, after := s.fail, s.after
	s.mu.Unlock()
	if fail != nil {
		if err := fail(b); err != nil {
			return err
		}
	}
	s.mu.Lock()
	for _, a := range b.Apps {
		if id := (appBatch{b.ID, a.App}); !s.seen[id] {
			s.seen[id] = true
			s.stored[a.App] = append(s.stored[a.App], a.Entries...)
		}
	}
	s.mu.Unlock()
	if after != nil {
		return after(b)
	}
	return nil
}

func (s *fakeStorage) texts(app string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.stored[app] {
		out = append(out, e.Message)
	}
	return out
}

// start runs a pipeline until the end of the test; stop ends it earlier.
func start(t *testing.T, s Storage) (p *Pipeline, registry *prometheus.Registry, stop func()) {
	t.Helper()
	registry = prometheus.NewRegistry()
	p, stop = startAt(t, s, func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, registry)
	return p, registry, stop
}

// startAt does what start does, with a clock.
func startAt(t *testing.T, s Storage, now func() time.Time, registry *prometheus.Registry) (p *Pipeline, stop func()) {
	t.Helper()
	p = New(Options{
		Storage: s, Logger: hclog.NewNullLogger(), Registry: registry, MaxLineBytes: 64 << 10,
		Selection: testSelection(), AppendTimeout: 10 * time.Second, Now: now,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return p, stop
}

// line returns a message of an app.
func line(id int, app, log string) sdk.Message {
	return sdk.Message{ID: fmt.Sprintf("%016x", id), Attempts: 1, Payload: fmt.Appendf(nil,
		`{"log":%q,"time":"2026-01-02T03:04:05+00:00","kubernetes":{"labels":{"app":%q}}}`, log+"\n", app)}
}

func deliver(t *testing.T, p *Pipeline, messages ...sdk.Message) *sdk.Receipt {
	t.Helper()
	r, err := p.Deliver(t.Context(), messages)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func await(t *testing.T, r *sdk.Receipt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := r.Wait(ctx); err != nil {
		t.Fatalf("receipt: %v", err)
	}
}

// counts returns the values of the registry's counters and gauges, by name or
// name{reason}.
func counts(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "{" + l.GetValue() + "}"
			}
			if c := m.GetCounter(); c != nil {
				out[name] = c.GetValue()
			} else if g := m.GetGauge(); g != nil {
				out[name] = g.GetValue()
			}
		}
	}
	return out
}

// balance checks that every message received is accounted for.
func balance(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	c := counts(t, registry)
	sum := c["logger_messages_stored_total"] + c["logger_messages_duplicate_total"] + c["logger_messages_waiting"]
	for _, r := range reasons {
		sum += c["logger_messages_rejected_total{"+string(r)+"}"]
	}
	if c["logger_messages_received_total"] != sum {
		t.Errorf("the books do not balance: %v", c)
	}
	return c
}

var errAway = fmt.Errorf("redis at nowhere: %w", sdk.ErrUnavailable)
