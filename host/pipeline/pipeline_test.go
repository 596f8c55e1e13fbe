package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/corpus"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/sdk"
)

func TestCorpusIsSortedIntoAppsAndReasons(t *testing.T) {
	storage := newStorage(nil)
	p, registry, _ := start(t, storage)
	var messages []sdk.Message
	for i, payload := range corpus.Messages() {
		messages = append(messages, sdk.Message{ID: fmt.Sprint(i), Attempts: 1, Payload: payload})
	}
	await(t, deliver(t, p, messages...))
	c := balance(t, registry)
	for reason, n := range corpus.Rejected() {
		if got := c["logger_messages_rejected_total{"+reason+"}"]; got != float64(n) {
			t.Errorf("rejected as %s: %v, want %d", reason, got, n)
		}
	}
	for app, want := range corpus.Expected("2026-01-02T03:04:05+00:00") {
		var got []byte
		show := read.Renderer{App: app}
		for _, e := range storage.stored(app) {
			got = show.Append(got, &e)
		}
		if string(got) != want {
			t.Errorf("app %s:\n got %q\nwant %q", app, got, want)
		}
		if err := storage.Delete(t.Context(), app); err != nil {
			t.Fatal(err)
		}
	}
	if others, err := storage.Apps(t.Context(), "", 0); err != nil || len(others) > 0 {
		t.Errorf("apps that should not exist: %v (%v)", others, err)
	}
}

// TestSamplesOfCollectors sends each message of the corpus alone, so that a failure names the wrong
// one.
func TestSamplesOfCollectors(t *testing.T) {
	for _, s := range corpus.Samples() {
		t.Run(s.App+"/"+s.Form, func(t *testing.T) {
			d := testDecoder()
			d.maxLine = 1000
			var got []string
			for _, o := range decodeAll(t, d, &sdk.Message{Payload: []byte(s.Payload)}) {
				if o.reason != "" {
					got = append(got, string(o.reason))
					continue
				}
				line := string((&read.Renderer{App: o.app}).Append(nil, &o.entry))
				got = append(got, strings.Replace(strings.TrimSuffix(line, "\n"), "2026-01-02T02:04:05+00:00", "{ARRIVAL}", 1))
			}
			want := s.Lines
			if s.Reason != "" {
				want = []string{s.Reason}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestWhatWaitsBecomesOneBatchInOrder(t *testing.T) {
	storage, entered, release := newHeldStorage()
	p, registry, _ := start(t, storage)
	first := deliver(t, p, line(0, "a", "0"))
	<-entered // while the first append is under way, more messages wait
	var receipts []*sdk.Receipt
	for i := 1; i <= 100; i++ {
		receipts = append(receipts, deliver(t, p, line(2*i, "a", fmt.Sprint(i)), line(2*i+1, "b", fmt.Sprint(i))))
	}
	if first.Err() != nil || isDone(first) || isDone(receipts[0]) {
		t.Error("a receipt resolved before its batch was stored")
	}
	balance(t, registry)
	close(release)
	for _, r := range receipts {
		await(t, r)
	}
	if batches := storage.batches(); len(batches) != 2 || batches[1].Len() != 200 || len(batches[1].Apps) != 2 {
		t.Errorf("%d batches, the second of %d entries; want 2, 200 over 2 apps", len(batches), batches[1].Len())
	}
	for i, text := range storage.texts("a") {
		if text != fmt.Sprint(i) {
			t.Fatalf("entry %d is %q", i, text)
		}
	}
	balance(t, registry)
}

func isDone(r *sdk.Receipt) bool {
	select {
	case <-r.Done():
		return true
	default:
		return false
	}
}

func TestAppendIsRetriedAsTheSameBatch(t *testing.T) {
	var tries atomic.Int32
	storage := newStorage(func(sdk.Batch) error {
		if tries.Add(1) <= 3 {
			return errAway
		}
		return nil
	})
	storage.After = func(storagefake.Call, *sdk.Page) error { // it is stored, but the answer is lost
		if tries.Load() == 4 {
			return context.DeadlineExceeded
		}
		return nil
	}
	p, registry, _ := start(t, storage)
	r := deliver(t, p, line(1, "a", "x"))
	await(t, r)
	batches := storage.batches()
	for _, b := range batches {
		if b.ID != batches[0].ID {
			t.Errorf("batch %v, then %v", batches[0].ID, b.ID)
		}
	}
	if len(batches) != 5 || len(storage.texts("a")) != 1 {
		t.Errorf("%d tries, %d entries, want 5 and 1", len(batches), len(storage.texts("a")))
	}
	await(t, deliver(t, p, line(2, "a", "y")))
	if last := storage.batches()[5].ID; last.Writer != batches[0].ID.Writer || last.Sequence <= batches[0].ID.Sequence {
		t.Errorf("the next batch is %v after %v", last, batches[0].ID)
	}
	balance(t, registry)
}

func TestRefusedEntriesAreFoundAndTheRestStored(t *testing.T) {
	storage := newStorage(failingOn("bad", fmt.Errorf("too spicy: %w", sdk.ErrInvalid)))
	p, registry, _ := start(t, storage)
	await(t, deliver(t, p, line(0, "a", "0"), line(1, "a", "bad"), line(2, "b", "2"), line(3, "a", "3"), line(4, "a", "bad too"), line(5, "a", "5")))
	if got := storage.texts("a"); !slices.Equal(got, []string{"0", "3", "5"}) {
		t.Errorf("a has %q", got)
	}
	if c := balance(t, registry); c["logger_messages_rejected_total{refused}"] != 2 {
		t.Errorf("counts %v", c)
	}
}

func TestRedeliveredMessagesAreStoredOnce(t *testing.T) {
	release := make(chan struct{})
	storage := newStorage(func(sdk.Batch) error { <-release; return nil })
	p, registry, _ := start(t, storage)
	// The copies count as first attempts, because a queue that crashed counts from one again.
	first := deliver(t, p, line(1, "a", "1"), line(2, "a", "2"))
	second := deliver(t, p, line(2, "a", "2"), line(3, "a", "3")) // while the first is not stored yet
	if isDone(second) {
		t.Error("the copy's receipt resolved before the first was stored")
	}
	close(release)
	await(t, first)
	await(t, second)
	await(t, deliver(t, p, line(1, "a", "1"), line(4, "a", "4")))
	if got := storage.texts("a"); !slices.Equal(got, []string{"1", "2", "3", "4"}) {
		t.Errorf("a has %q", got)
	}
	if c := balance(t, registry); c["logger_messages_duplicate_total"] != 2 {
		t.Errorf("counts %v", c)
	}
}

func TestMessagesThatWereNotTakenAreTakenLater(t *testing.T) {
	release := make(chan struct{})
	storage := newStorage(func(sdk.Batch) error { <-release; return nil })
	p, registry, _ := start(t, storage)
	big := strings.Repeat("x", 60<<10)
	n := 0
	var refused sdk.Message
	for { // until the queue is full
		m := line(n, "a", big)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := p.Deliver(ctx, []sdk.Message{m})
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			refused = m
			break
		}
		if err != nil || n > 10_000 {
			t.Fatalf("message %d: %v", n, err)
		}
		n++
	}
	if n*len(big) > 2*queueBytes {
		t.Errorf("%d bytes were taken while the storage was away", n*len(big))
	}
	balance(t, registry)
	close(release)
	refused.Attempts = 2
	await(t, deliver(t, p, refused))
	if got := len(storage.texts("a")); got != n+1 {
		t.Errorf("%d entries, want %d", got, n+1)
	}
	balance(t, registry)
}

func TestStopGivesBackWhatIsNotStored(t *testing.T) {
	storage := newStorage(func(sdk.Batch) error { return errAway })
	p, _, stop := start(t, storage)
	r := deliver(t, p, line(1, "a", "x"))
	stop()
	if err := r.Wait(t.Context()); !errors.Is(err, sdk.ErrStopping) {
		t.Errorf("receipt: %v", err)
	}
	if _, err := p.Deliver(t.Context(), []sdk.Message{line(2, "a", "y")}); !errors.Is(err, sdk.ErrStopping) {
		t.Errorf("deliver after the stop: %v", err)
	}
}

func TestStopFromOutside(t *testing.T) {
	storage := newStorage(func(sdk.Batch) error { return errAway })
	p, _, _ := start(t, storage)
	r := deliver(t, p, line(1, "a", "x"))
	p.Stop()
	p.Stop()
	if err := r.Wait(t.Context()); !errors.Is(err, sdk.ErrStopping) {
		t.Errorf("receipt: %v", err)
	}
}

// TestABusySystemMakesLargeBatches has as many messages waiting as an aggregator usually has in
// flight. They become one batch, because a storage's cost depends on the number of batches and
// apps.
func TestABusySystemMakesLargeBatches(t *testing.T) {
	storage, entered, release := newHeldStorage()
	p, registry, _ := start(t, storage)
	receipts := []*sdk.Receipt{deliver(t, p, line(0, "a", "0"))}
	<-entered
	const deliveries, each, apps = 10, 200, 50
	for i := range deliveries {
		messages := make([]sdk.Message, each)
		for j := range messages {
			n := i*each + j
			messages[j] = sdk.Message{ID: fmt.Sprintf("%016x", n+1), Payload: ordinary(fmt.Sprintf("app-%d", n%apps))}
		}
		receipts = append(receipts, deliver(t, p, messages...))
		for j := range messages {
			clear(messages[j].Payload) // the payload was only lent
		}
	}
	close(release)
	for _, r := range receipts {
		await(t, r)
	}
	batches := storage.batches()
	if len(batches) != 2 || batches[1].Len() != deliveries*each || len(batches[1].Apps) != apps {
		t.Errorf("%d batches, the second of %d entries over %d apps; want 2, %d, %d",
			len(batches), batches[1].Len(), len(batches[1].Apps), deliveries*each, apps)
	}
	for _, a := range batches[1].Apps {
		for _, e := range a.Entries {
			if strings.ContainsRune(a.App+e.Message+e.Pod+e.Process+e.Release+e.Stream+e.Host, 0) {
				t.Fatalf("%q of %q is in the payload's memory", e.Message, a.App)
			}
		}
	}
	balance(t, registry)
}

// TestWhatWaitsHoldsNoPayload has waiting lines that were cut out of much longer messages.
func TestWhatWaitsHoldsNoPayload(t *testing.T) {
	storage := newStorage(func(sdk.Batch) error { return errAway })
	p, registry, _ := start(t, storage)
	const messages, size = 32, 2 << 20
	long := line(0, "a", strings.Repeat("long", size/4)).Payload
	before := heapInUse()
	for i := range messages {
		deliver(t, p, sdk.Message{ID: fmt.Sprintf("%016x", i), Payload: bytes.Clone(long)})
	}
	if grown := heapInUse() - before; grown > messages*size/8 {
		t.Errorf("%d MiB are in use for %d lines of 64 KiB", grown>>20, messages)
	}
	balance(t, registry)
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestRefusedEntriesOfManyApps has apps with entries in both halves of a refused batch.
func TestRefusedEntriesOfManyApps(t *testing.T) {
	storage := newStorage(failingOn("7.", fmt.Errorf("too spicy: %w", sdk.ErrInvalid)))
	p, registry, _ := start(t, storage)
	want := map[string][]string{}
	var messages []sdk.Message
	for i := range 300 {
		app, text := fmt.Sprintf("app-%d", i*i%13), fmt.Sprint(i, ".")
		messages = append(messages, line(i, app, text))
		if i%10 != 7 {
			want[app] = append(want[app], text)
		}
	}
	await(t, deliver(t, p, messages...))
	for app, texts := range want {
		if got := storage.texts(app); !slices.Equal(got, texts) {
			t.Errorf("%s has %q, want %q", app, got, texts)
		}
	}
	if c := balance(t, registry); c["logger_messages_rejected_total{refused}"] != 30 {
		t.Errorf("counts %v", c)
	}
}

// TestQueueIsBounded delivers more than may wait while nothing is stored. Deliveries block, even if
// everything in them is rejected, and continue once there is room.
func TestQueueIsBounded(t *testing.T) {
	for name, log := range map[string]string{"long lines": strings.Repeat("x", 60<<10), "nothing but rejected messages": ""} {
		t.Run(name, func(t *testing.T) {
			storage := newStorage(nil)
			storage.Fail(errAway)
			p, registry, _ := start(t, storage)
			deliver(t, p, line(0, "a", "the first")) // cannot be stored
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			const most = 2 * queueBytes / deliveryOverhead
			var taken atomic.Int64
			receipts := make(chan *sdk.Receipt, most)
			delivered := make(chan struct{})
			go func() { // ends once storage is back
				defer close(delivered)
				defer close(receipts)
				for n := range most {
					m := line(n+1, "a", log)
					if log == "" {
						m.Payload = []byte("malformed")
					} else if n >= 3*queueBytes/len(log) {
						return
					}
					r, err := p.Deliver(ctx, []sdk.Message{m})
					if err != nil {
						t.Errorf("delivery %d: %v", n, err)
						return
					}
					taken.Add(1)
					receipts <- r
				}
			}()
			blocked := func() bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				return p.drained != nil
			}
			for !blocked() && ctx.Err() == nil {
				select {
				case <-delivered:
					t.Fatalf("all %d deliveries were accepted, and none blocked", taken.Load())
				case <-time.After(time.Millisecond):
				}
			}
			p.mu.Lock()
			if p.bytes > queueBytes {
				t.Errorf("%d bytes wait, want at most %d", p.bytes, queueBytes)
			}
			p.mu.Unlock()
			storage.Fail(nil)
			for r := range receipts {
				await(t, r)
			}
			balance(t, registry)
		})
	}
}

// TestAppendThatHangsIsTriedAgain has an append that answers only when its deadline is over. The
// pipeline waits for the storage, and then repeats the append.
func TestAppendThatHangsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newStorage(nil)
		storage.Before = func(ctx context.Context, _ storagefake.Call) error {
			if len(storage.batches()) == 1 {
				<-ctx.Done()
			}
			return nil
		}
		began := time.Now()
		p := New(Options{
			Storage: storage, Logger: hclog.NewNullLogger(), Registry: prometheus.NewRegistry(),
			MaxLineBytes: 64 << 10, Selection: testSelection(), AppendTimeout: 10 * time.Second,
		})
		testrun.Start(t, p.Run)
		await(t, deliver(t, p, line(1, "a", "x")))
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("stored after %s, want just after the first try's 10 s", took)
		}
		if waits, tries := storage.waits.Load(), len(storage.batches()); waits != 1 || tries != 2 || len(storage.texts("a")) != 1 {
			t.Errorf("waited %d times, tried %d times, stored %d; want 1, 2, 1", waits, tries, len(storage.texts("a")))
		}
	})
}

// TestRecordsAreCounted: each record of a message counts, with its form. Records that are not
// selected are not logged. Each reason has its own limit of log lines.
func TestRecordsAreCounted(t *testing.T) {
	var log bytes.Buffer
	selection := &Selection{AppLabel: "app", ControllerContainer: "deis-controller", NamespacesExclude: "kube-system"}
	if err := selection.Compile(); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	p := New(Options{
		Storage: newStorage(nil), Logger: hclog.New(&hclog.LoggerOptions{Output: &log}), Registry: registry,
		MaxLineBytes: 64 << 10, Selection: selection, AppendTimeout: time.Second,
	})
	stop := testrun.Start(t, p.Run)
	payload := `[{"log":"a","time":"2026-01-02T03:04:05Z","kubernetes":{"labels":{"app":"foo"}}},` +
		`{"message":"b","date":1476822578.5,"kubernetes":{"labels":{"app":"foo"}}},` +
		strings.Repeat(`{"log":"x","kubernetes":{"namespace_name":"kube-system","pod_name":"dns"}},`, 3) +
		strings.Repeat(`{"log":"x"},`, 20) + `{"log":"INFO: of no app","kubernetes":{"container_name":"deis-controller"}}]`
	await(t, deliver(t, p, sdk.Message{ID: "1", Attempts: 1, Payload: []byte(payload)}))
	c := balance(t, registry)
	stop()
	for name, want := range map[string]float64{
		"logger_messages_received_total": 26, "logger_messages_stored_total": 2,
		"logger_messages_rejected_total{not_selected}": 3, "logger_messages_rejected_total{no_app}": 20, "logger_messages_rejected_total{bad_controller_line}": 1,
		"logger_messages_text_total{log}": 2, "logger_messages_text_total{message}": 1, "logger_messages_text_total{msg}": 0,
		"logger_messages_time_total{rfc3339}": 1, "logger_messages_time_total{epoch_s}": 1, "logger_messages_time_total{missing}": 1,
	} {
		if c[name] != want {
			t.Errorf("%s is %v, want %v", name, c[name], want)
		}
	}
	text := log.String()
	if n := strings.Count(text, "reason=no_app"); n < 1 || n > 4 || strings.Contains(text, "not_selected") || strings.Contains(text, "dns") {
		t.Errorf("%d lines for one reason:\n%s", n, text)
	}
	// The log line of the other reason shows its own record, not the first one of the message.
	if !strings.Contains(text, "reason=bad_controller_line") || !strings.Contains(text, "INFO: of no app") {
		t.Errorf("not logged:\n%s", text)
	}
}
