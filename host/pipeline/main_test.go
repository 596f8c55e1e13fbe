package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testStorage wraps a storage as the pipeline sees it: one to wait for.
type testStorage struct {
	storagefake.Storage
	waits atomic.Int32
}

// newStorage returns a storage whose appends fail with the error of fail, unless that is nil.
func newStorage(fail func(b sdk.Batch) error) *testStorage {
	s := new(testStorage)
	s.Before = func(_ context.Context, call storagefake.Call) error {
		if call.Method == "Append" && fail != nil {
			return fail(call.Batch)
		}
		return nil
	}
	return s
}

// newHeldStorage returns a storage whose first append, which entered tells of, ends once release is
// closed.
func newHeldStorage() (s *testStorage, entered <-chan struct{}, release chan<- struct{}) {
	in, out := make(chan struct{}, 1), make(chan struct{})
	return newStorage(func(sdk.Batch) error {
		select {
		case in <- struct{}{}:
			<-out
		default:
		}
		return nil
	}), in, out
}

func (s *testStorage) Wait(ctx context.Context) error {
	s.waits.Add(1)
	return ctx.Err()
}

func (s *testStorage) Ready() bool { return true }

// batches returns the batches as appended, repetitions included.
func (s *testStorage) batches() (all []sdk.Batch) {
	for _, call := range s.Calls("Append") {
		all = append(all, call.Batch)
	}
	return all
}

// stored returns the app's entries in the order of the appends.
func (s *testStorage) stored(app string) []sdk.Entry {
	_, _, entries := s.Kept(app)
	slices.SortFunc(entries, func(a, b sdk.Entry) int { return cmp.Compare(a.Position, b.Position) })
	return entries
}

func (s *testStorage) texts(app string) (texts []string) {
	for _, e := range s.stored(app) {
		texts = append(texts, e.Message)
	}
	return texts
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
	return p, testrun.Start(t, p.Run)
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
