package nsq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes the plugin from environment variables, as a host does: env, and those for an nsqd at
// addr unless addr is empty.
func open(t testing.TB, addr string, env map[string]string) *aggregator {
	t.Helper()
	all := maps.Clone(env)
	if addr != "" {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		all = map[string]string{"DEIS_NSQD_SERVICE_HOST": host, "DEIS_NSQD_SERVICE_PORT_TRANSPORT": port}
		maps.Copy(all, env)
	}
	settings, err := sdk.LoadSettings[Settings](func(name string) (string, bool) {
		v, ok := all[name]
		return v, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	logger := hclog.NewNullLogger()
	if testing.Verbose() {
		logger = hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Debug})
	}
	a, err := Open(t.Context(), settings, sdk.Host{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	return a.(*aggregator)
}

// startHeld starts the plugin with a host that holds all receipts, publishes a message and returns
// once it is delivered.
func startHeld(t testing.TB, s *nsqtest.Server, a sdk.Aggregator) (h *fakeHost, stop func() error) {
	t.Helper()
	h = &fakeHost{}
	h.hold()
	stop = start(t, a, h)
	s.Publish(topic, numbered(0, 1, 0)...)
	testwait.Until(t, "the first is delivered", func() bool { return h.count() == 1 })
	return h, stop
}

// start runs the plugin until the end of the test. The returned function stops it
// and returns Run's error; it may be called more than once.
func start(t testing.TB, a sdk.Aggregator, h *fakeHost) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, h.deliver) }()
	stop = sync.OnceValue(func() error {
		cancel()
		// When its stop timeout is over, a host resolves the receipts that it owes.
		h.release(fmt.Errorf("the test is over: %w", sdk.ErrStopping))
		select {
		case err := <-ended:
			return err
		case <-time.After(testwait.Patience):
			return errors.New("the plugin does not stop")
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return stop
}

// delivery holds one batch as the host got it.
type delivery struct {
	messages []sdk.Message
	receipt  *sdk.Receipt
}

// fakeHost takes batches. It reports them stored at once, unless it holds.
type fakeHost struct {
	mu      sync.Mutex
	holding bool
	outcome error
	all     []delivery
	refuse  func(n int) error // if set, returns deliver's error for the n-th batch, counted from 1
}

func (h *fakeHost) deliver(ctx context.Context, messages []sdk.Message) (*sdk.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d := delivery{messages: slices.Clone(messages), receipt: sdk.NewReceipt()}
	for i := range d.messages {
		d.messages[i].Payload = bytes.Clone(messages[i].Payload)
		clear(messages[i].Payload) // the payload is lent, and may be written to
	}
	h.all = append(h.all, d)
	if h.refuse != nil {
		if err := h.refuse(len(h.all)); err != nil {
			return nil, err
		}
	}
	if !h.holding {
		d.receipt.Resolve(h.outcome)
	}
	return d.receipt, nil
}

// hold leaves receipts open from now on.
func (h *fakeHost) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holding = true
}

// release resolves all receipts with err, also later ones.
func (h *fakeHost) release(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holding, h.outcome = false, err
	for _, d := range h.all {
		d.receipt.Resolve(err)
	}
}

func (h *fakeHost) deliveries() []delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all[:len(h.all):len(h.all)]
}

func (h *fakeHost) messages() (all []sdk.Message) {
	for _, d := range h.deliveries() {
		all = append(all, d.messages...)
	}
	return all
}

func (h *fakeHost) count() int { return len(h.messages()) }

// numbered returns n messages that contain their number, each of at least size bytes.
func numbered(from, n, size int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, "%d ", from+i)
		if pad := size - len(out[i]); pad > 0 {
			out[i] = append(out[i], make([]byte, pad)...)
		}
	}
	return out
}

// number returns the number that numbered wrote.
func number(t testing.TB, m sdk.Message) int {
	t.Helper()
	for i, b := range m.Payload {
		if b == ' ' {
			n, err := strconv.Atoi(string(m.Payload[:i]))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("not a numbered message: %.20q", m.Payload)
	return 0
}

// wantOnceInOrder checks that the host got the messages numbered from 0 to n-1, each once and in
// order.
func wantOnceInOrder(t *testing.T, h *fakeHost, n int) {
	t.Helper()
	testwait.Until(t, fmt.Sprintf("the host gets %d messages", n), func() bool { return h.count() >= n })
	messages := h.messages()
	if len(messages) != n {
		t.Errorf("the host got %d messages, want %d", len(messages), n)
	}
	for i, m := range messages {
		if got := number(t, m); got != i {
			t.Fatalf("message %d is number %d", i, got)
		}
	}
}

const (
	topic   = "logs"
	channel = "consume"
)

// wantEmpty waits until nsqd has nothing left in the channel, and nothing in the topic on the way
// to it.
func wantEmpty(t testing.TB, s *nsqtest.Server) {
	t.Helper()
	testwait.Until(t, "nsqd has nothing left", func() bool {
		return s.Drained(topic, channel)
	})
}

func inFlight(s *nsqtest.Server, n int) func() bool {
	return func() bool { return s.Channel(topic, channel).InFlight == n }
}
