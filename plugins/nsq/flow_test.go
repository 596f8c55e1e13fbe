package nsq

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var testLimits = limits{handlers: 2, batchMessages: 4, batchBytes: 1000, inFlight: 10, heldBytes: 5000}

// fakeConn returns a connection without a server. Answers stay in its buffer.
func fakeConn() *conn { return &conn{wakeup: make(chan struct{}, 1)} }

// answers returns what was put into a fakeConn's buffer since the last call.
func answers(c *conn) string {
	out := string(c.out)
	c.out = nil
	return strings.TrimSpace(strings.ReplaceAll(out, "\n", ";"))
}

func arrival(n, size int, attempts uint16) message {
	m := message{attempts: attempts, body: make([]byte, size)}
	copy(m.id[:], fmt.Sprintf("%016d", n))
	m.published = int64(n)
	return m
}

// again lets one message arrive, and returns its answer.
func again(f *flow, c *conn, n int, attempts uint16) string {
	f.receive(c, []message{arrival(n, 0, attempts)}, time.Now())
	return strings.ReplaceAll(answers(c), "0000000000000", "")
}

// arrive lets messages first to last arrive for the first time.
func arrive(t *testing.T, f *flow, c *conn, first, last, size int) {
	t.Helper()
	var all []message
	for n := first; n <= last; n++ {
		all = append(all, arrival(n, size, 1))
	}
	f.receive(c, all, time.Now())
	if got := answers(c); got != "" {
		t.Fatalf("messages %d to %d are answered: %s", first, last, got)
	}
}

// taken returns the numbers of the messages in the next batch, without waiting.
func taken(f *flow) (*batch, []int) {
	b := f.take()
	if b == nil {
		return nil, nil
	}
	return b, numbers(b.held)
}

func numbers(messages []held) (out []int) {
	for _, m := range messages {
		var n int
		if _, err := fmt.Sscanf(string(m.id[:]), "%d", &n); err != nil {
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
	f, c := newFlow(testLimits), fakeConn()
	_, got := taken(f)
	want(t, "nothing has arrived", got)
	arrive(t, f, c, 1, 1, 0)
	first, got := taken(f)
	want(t, "idle", got, 1)
	arrive(t, f, c, 2, 4, 0)
	_, got = taken(f)
	want(t, "one is under way, three gather", got)
	arrive(t, f, c, 5, 6, 0)
	second, got := taken(f)
	want(t, "a batch is full", got, 2, 3, 4, 5)
	arrive(t, f, c, 7, 11, 0)
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
	f, c := newFlow(testLimits), fakeConn()
	size := 400 - messageOverhead
	arrive(t, f, c, 1, 3, size)
	arrive(t, f, c, 4, 4, 3000)
	arrive(t, f, c, 5, 5, size)
	for _, w := range [][]int{{1, 2}, {3}, {4}, {5}} {
		b, got := taken(f)
		want(t, "next", got, w...)
		f.settle(b, true)
	}
}

func TestRedeliveryOfWhatIsHeldAnswersTheLast(t *testing.T) {
	f, first, second := newFlow(testLimits), fakeConn(), fakeConn()
	arrive(t, f, first, 1, 1, 0)
	b, _ := taken(f)
	arrive(t, f, first, 2, 2, 0)
	for n := 1; n <= 2; n++ {
		if got := again(f, second, n, 2); got != "" {
			t.Fatalf("message %d again is answered: %s", n, got)
		}
	}
	if first.inFlight != 0 || second.inFlight != 2 {
		t.Errorf("in flight: %d and %d, want 0 and 2", first.inFlight, second.inFlight)
	}
	due := f.due(time.Now().Add(time.Minute), time.Second)
	if len(due) != 2 || due[0].conn != second || due[1].conn != second {
		t.Errorf("the later delivery is the one to touch: %v", due)
	}
	finish(f.settle(b, true))
	if a, b := answers(first), answers(second); a != "" || b != "FIN 0000000000000001;" {
		t.Errorf("answered %q and %q", a, b)
	}
	if got := again(f, first, 1, 3); got != "FIN 001;" {
		t.Errorf("a stored message again: %q", got)
	}
	requeue(f.stop(), 10*time.Millisecond)
	if a, b := answers(first), answers(second); a != "" || b != "REQ 0000000000000002 20;" {
		t.Errorf("given back as %q and %q", a, b)
	}
	if got := again(f, first, 3, 1); got != "REQ 003 0;" {
		t.Errorf("after the stop: %q", got)
	}
	if first.inFlight != 0 || second.inFlight != 0 || f.messages != 0 || f.bytes != 0 {
		t.Errorf("still in flight: %d and %d; held: %d messages of %d bytes", first.inFlight, second.inFlight, f.messages, f.bytes)
	}
}

func TestFailedMessagesAreTakenAgain(t *testing.T) {
	f, c := newFlow(testLimits), fakeConn()
	arrive(t, f, c, 1, 1, 0)
	b, _ := taken(f)
	f.settle(b, false)
	if got := again(f, c, 1, 2); got != "" {
		t.Errorf("answered %q", got)
	}
	_, got := taken(f)
	want(t, "again", got, 1)
}

func TestMessagesOfTwoNSQDWithOneID(t *testing.T) {
	f, c := newFlow(testLimits), fakeConn()
	one, other := arrival(1, 0, 2), arrival(1, 0, 2)
	other.published++
	f.receive(c, []message{one, other}, time.Now())
	b, got := taken(f)
	want(t, "both are held", got, 1, 1)
	f.settle(b, true)
	third := arrival(1, 0, 2)
	third.published += 2
	f.receive(c, []message{one, third}, time.Now())
	if got := answers(c); got != "FIN 0000000000000001;" {
		t.Errorf("answered %q", got)
	}
	_, got = taken(f)
	want(t, "the third is held", got, 1)
}

func TestKilledNSQDRedeliversAsIfForTheFirstTime(t *testing.T) {
	f, lost, fresh := newFlow(testLimits), fakeConn(), fakeConn()
	for n := 1; n <= 3; n++ {
		arrive(t, f, lost, n, n, 0)
		if n < 3 {
			b, _ := taken(f)
			if n == 1 {
				f.settle(b, true)
			}
		}
	}
	lost.lost.Store(true)
	f.orphan()
	if again(f, lost, 4, 1); f.messages != 2 {
		t.Error("a lost connection's message is taken")
	}
	for n, want := range map[int]string{1: "FIN 001;", 2: "", 3: "", 4: ""} {
		if got := again(f, fresh, n, 1); got != want {
			t.Errorf("message %d: %q, want %q", n, got, want)
		}
	}
	if len(f.orphans) != 0 || f.messages != 3 || fresh.inFlight != 3 || lost.inFlight != 0 {
		t.Errorf("%d orphans, %d messages, %d and %d in flight", len(f.orphans), f.messages, lost.inFlight, fresh.inFlight)
	}
	finish(f.settle(f.underWay[0], true))
	if got := answers(fresh); got != "FIN 0000000000000002;" {
		t.Errorf("answered %q", got)
	}
	want(t, "held once", numbers(f.stop()), 3, 4)
}

func TestDueIsWhatWaitsLong(t *testing.T) {
	f, c := newFlow(testLimits), fakeConn()
	arrive(t, f, c, 1, 1, 0)
	taken(f)
	arrive(t, f, c, 2, 2, 0)
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
	f, c := newFlow(testLimits), fakeConn()
	open := func() bool { return f.open(nil, nil) }
	arrive(t, f, c, 1, 1, 0)
	b, _ := taken(f)
	arrive(t, f, c, 2, 5, 1000)
	if !open() {
		t.Fatal("closed below the limit")
	}
	if !f.receive(c, []message{arrival(6, 1000, 1)}, time.Now()) {
		t.Error("not filled above the limit")
	}
	if open() {
		t.Fatal("open above the limit")
	}
	for f.bytes > testLimits.heldBytes/2 {
		if open() {
			t.Fatalf("open again at %d bytes", f.bytes)
		}
		f.settle(b, true)
		b, _ = taken(f)
	}
	if !open() {
		t.Fatal("closed at half")
	}
}

func TestBatchesAreUsedAgainAndKeepNothing(t *testing.T) {
	f, c := newFlow(testLimits), fakeConn()
	arrive(t, f, c, 1, 4, 0)
	b, _ := taken(f)
	f.settle(b, true)
	f.recycle(b)
	arrive(t, f, c, 5, 5, 0)
	same, got := taken(f)
	want(t, "next", got, 5)
	if same != b || same.size != messageOverhead || same.receipt != nil {
		t.Errorf("%+v, was %p", same, b)
	}
	if rest := b.held[:4][3]; rest.conn != nil || rest.body != nil {
		t.Errorf("kept: %+v", rest)
	}
}

func TestStoredIDs(t *testing.T) {
	id := func(n int) messageKey { return arrival(n, 0, 1).messageKey }
	s := newStoredIDs(4)
	for n := range 10 {
		s.add(id(n))
	}
	if s.has(id(1)) || !s.has(id(2)) || !s.has(id(9)) {
		t.Error("the latest are 2 to 9")
	}
	s.doubt()
	s.doubt() // this says nothing new
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
