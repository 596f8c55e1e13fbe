package nsq

import (
	"fmt"
	"slices"
	"testing"
	"time"

	gonsq "github.com/nsqio/go-nsq"
)

var testLimits = limits{handlers: 2, batchMessages: 4, batchBytes: 1000, inFlight: 10, heldBytes: 5000}

func message(n, size int, attempts uint16) *gonsq.Message {
	var id gonsq.MessageID
	copy(id[:], fmt.Sprintf("%016d", n))
	m := gonsq.NewMessage(id, make([]byte, size))
	m.Attempts = attempts
	return m
}

// arrive lets messages first to last arrive for the first time.
func arrive(t *testing.T, f *flow, first, last, size int) {
	t.Helper()
	for n := first; n <= last; n++ {
		if got := f.receive(message(n, size, 1), nil); got != arrivalTaken && got != arrivalFilled {
			t.Fatalf("message %d: arrival %d", n, got)
		}
	}
}

// taken are the numbers of the messages that the next batch has, without waiting.
func taken(f *flow) (*batch, []int) {
	b := f.take()
	if b == nil {
		return nil, nil
	}
	return b, numbers(heldMessages(b))
}

func heldMessages(b *batch) (out []*gonsq.Message) {
	for _, h := range b.held {
		out = append(out, h.msg)
	}
	return out
}

func numbers(messages []*gonsq.Message) (out []int) {
	for _, m := range messages {
		var n int
		if _, err := fmt.Sscanf(string(m.ID[:]), "%d", &n); err != nil {
			panic(err)
		}
		out = append(out, n)
	}
	return out
}

func want(t *testing.T, what string, got []int, want ...int) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func TestBatchesClockThemselves(t *testing.T) {
	f := newFlow(testLimits)
	_, got := taken(f)
	want(t, "nothing has arrived", got)
	arrive(t, f, 1, 1, 0)
	first, got := taken(f)
	want(t, "idle", got, 1)
	arrive(t, f, 2, 4, 0)
	_, got = taken(f)
	want(t, "one is under way, three gather", got)
	arrive(t, f, 5, 6, 0)
	second, got := taken(f)
	want(t, "a batch is full", got, 2, 3, 4, 5)
	arrive(t, f, 7, 11, 0)
	_, got = taken(f)
	want(t, "full, but all handlers are busy", got)
	f.settle(first, true)
	_, got = taken(f)
	want(t, "a handler is free", got, 6, 7, 8, 9)
	f.settle(second, true)
	_, got = taken(f)
	want(t, "two gather", got)
}

func TestBatchBytes(t *testing.T) {
	f := newFlow(testLimits)
	size := 400 - messageOverhead
	arrive(t, f, 1, 3, size)
	arrive(t, f, 4, 4, 3000)
	arrive(t, f, 5, 5, size)
	for _, w := range [][]int{{1, 2}, {3}, {4}, {5}} {
		b, got := taken(f)
		want(t, "next", got, w...)
		f.settle(b, true)
	}
}

func TestRedeliveryOfWhatIsHeldAnswersBoth(t *testing.T) {
	f := newFlow(testLimits)
	arrive(t, f, 1, 1, 0)
	b, _ := taken(f)
	arrive(t, f, 2, 2, 0)
	for n := 1; n <= 2; n++ {
		if got := f.receive(message(n, 0, 2), nil); got != arrivalTaken {
			t.Fatalf("message %d again: arrival %d", n, got)
		}
	}
	if due := f.due(time.Now().Add(time.Minute), time.Second); len(due) != 2 || due[0].Attempts != 2 || due[1].Attempts != 2 {
		t.Errorf("the later delivery is the one to touch: %v", due)
	}
	want(t, "settled", numbers(f.settle(b, true)), 1, 1)
	if got := f.receive(message(1, 0, 3), nil); got != arrivalStored {
		t.Errorf("a stored message again: arrival %d", got)
	}
	want(t, "given back", numbers(f.stop()), 2, 2)
	if got := f.receive(message(3, 0, 1), nil); got != arrivalRefused {
		t.Errorf("after the stop: arrival %d", got)
	}
}

func TestFailedMessagesAreTakenAgain(t *testing.T) {
	f := newFlow(testLimits)
	arrive(t, f, 1, 1, 0)
	b, _ := taken(f)
	f.settle(b, false)
	if got := f.receive(message(1, 0, 2), nil); got != arrivalTaken {
		t.Errorf("arrival %d", got)
	}
	_, got := taken(f)
	want(t, "again", got, 1)
}

func TestKilledNSQDRedeliversAsIfForTheFirstTime(t *testing.T) {
	f := newFlow(testLimits)
	lost, fresh := make(chan struct{}), make(chan struct{})
	for n := 1; n <= 3; n++ {
		f.receive(message(n, 0, 1), lost)
		if n < 3 {
			b, _ := taken(f)
			if n == 1 {
				f.settle(b, true)
			}
		}
	}
	close(lost)
	f.orphan()
	f.receive(message(4, 0, 1), lost) // go-nsq had it in its buffer
	for n, want := range []arrival{1: arrivalStored, arrivalTaken, arrivalTaken, arrivalTaken, arrivalTaken} {
		if n == 0 {
			continue
		}
		if got := f.receive(message(n, 0, 1), fresh); got != want {
			t.Errorf("message %d: arrival %d, want %d", n, got, want)
		}
	}
	want(t, "held once, answered twice; one is new", numbers(f.stop()), 3, 3, 4, 4, 5)
	want(t, "under way", numbers(f.settle(f.underWay[0], true)), 2, 2)
	if len(f.orphans) != 0 || f.messages != 0 {
		t.Errorf("%d orphans and %d messages are left", len(f.orphans), f.messages)
	}
}

func TestDueIsWhatWaitsLong(t *testing.T) {
	f := newFlow(testLimits)
	arrive(t, f, 1, 1, 0)
	taken(f)
	arrive(t, f, 2, 2, 0)
	now := time.Now()
	if due := f.due(now, time.Second); len(due) != 0 {
		t.Errorf("due at once: %v", numbers(due))
	}
	want(t, "due later", numbers(f.due(now.Add(time.Second), time.Second)), 1, 2)
	if due := f.due(now.Add(time.Second), time.Second); len(due) != 0 {
		t.Errorf("due twice: %v", numbers(due))
	}
}

func TestOpenClosesWhenFullAndOpensAtHalf(t *testing.T) {
	f := newFlow(testLimits)
	arrive(t, f, 1, 1, 0)
	b, _ := taken(f)
	arrive(t, f, 2, 5, 1000)
	if !f.open() {
		t.Fatal("closed below the limit")
	}
	if got := f.receive(message(6, 1000, 1), nil); got != arrivalFilled {
		t.Errorf("arrival %d above the limit", got)
	}
	if f.open() {
		t.Fatal("open above the limit")
	}
	for f.bytes > testLimits.heldBytes/2 {
		if f.open() {
			t.Fatalf("open again at %d bytes", f.bytes)
		}
		f.settle(b, true)
		b, _ = taken(f)
	}
	if !f.open() {
		t.Fatal("closed at half")
	}
}

func TestStoredIDs(t *testing.T) {
	id := func(n int) gonsq.MessageID { return message(n, 0, 1).ID }
	s := newStoredIDs(4)
	for n := range 10 {
		s.add(id(n))
	}
	if s.has(id(1)) || !s.has(id(2)) || !s.has(id(9)) {
		t.Error("the latest are 2 to 9")
	}
	s.doubt()
	s.doubt() // says nothing new
	for n := 10; n < 40; n++ {
		s.add(id(n))
	}
	if s.has(id(1)) || !s.has(id(2)) || !s.has(id(9)) || s.has(id(10)) {
		t.Error("what was in doubt is 2 to 9")
	}
	for n := 40; n < 200; n++ {
		s.add(id(n))
		s.doubt()
	}
	if s.has(id(9)) || len(s.doubtful) != doubtfulPerInFlight*4 || len(s.order) != len(s.doubtful) {
		t.Errorf("%d in doubt, %d in order: want %d", len(s.doubtful), len(s.order), doubtfulPerInFlight*4)
	}
	for n := 200 - doubtfulPerInFlight*4; n < 200; n++ {
		if !s.has(id(n)) {
			t.Fatalf("%d is forgotten", n)
		}
	}
}

func TestLimiterCountsWhatItLeavesOut(t *testing.T) {
	l := limiter{every: time.Second}
	begin := time.Now()
	for i, c := range []struct {
		after time.Duration
		left  int
		ok    bool
	}{{0, 0, true}, {1, 0, false}, {2, 0, false}, {time.Second, 2, true}, {3 * time.Second, 0, true}} {
		if left, ok := l.allow(begin.Add(c.after)); left != c.left || ok != c.ok {
			t.Errorf("line %d: %d left out, allowed %t", i, left, ok)
		}
	}
}
