package aggregatortest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// queuesPatience bounds how long Queues may take: the second of the contract, and what a busy
// machine adds.
const queuesPatience = 2 * time.Second

// queues: a QueueLister says in time what is outstanding, whenever it is asked.
func queues(s *subject) {
	a := s.open()
	s.open = func() sdk.Aggregator { return a }
	lister, ok := a.(sdk.QueueLister)
	if !ok {
		s.Fatal("the aggregator is no sdk.QueueLister: make it one, or leave this out by name")
	}
	ask := func(ctx context.Context) (uint64, error) {
		infos, err := s.askQueues(ctx, lister)
		if errors.Is(err, sdk.ErrUnsupported) {
			s.Error("the aggregator's plugin is no sdk.QueueLister: make it one, or leave this out by name")
		}
		return total(infos), err
	}
	if _, err := ask(s.Context()); errors.Is(err, sdk.ErrUnsupported) {
		return
	}
	h := holding()
	c := s.start(h)
	s.publish(numbered(1, 5)...)
	// From here on a message is in flight, held by its receipt.
	s.eventually("a message is delivered", func() bool { return h.count() > 0 })
	// tells waits until the queues are said to have that many messages. A queue that counts its
	// places one after the other is off while messages move between them.
	tells := func(what string, want uint64) bool {
		s.Helper()
		var n uint64
		var err error
		waited := s.waits.poll(func() bool {
			n, err = ask(s.Context())
			return n == want && err == nil
		})
		if waited > 0 {
			s.Errorf("not within %s: the queues have %s: they are said to have %d, %v", waited, what, n, err)
		}
		return waited == 0
	}
	if !tells("the 5 messages that were published", 5) {
		return
	}

	ended, cancel := context.WithCancel(s.Context())
	cancel()
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() { _, _ = ask(ended) }) // what it answers is open, only not when
		asking.Go(func() { tells("the 5 messages, for each of several who ask at once", 5) })
	}
	asking.Wait()
	h.release()
	s.empty()
	tells("none that is not acknowledged", 0)
	c.stopped()
	_, _ = ask(s.Context()) // whether it still knows is open
}

// total returns how many messages the queues have; none if one of them could not be asked.
func total(infos []sdk.QueueInfo) (n uint64) {
	for _, q := range infos {
		if q.Reason != "" {
			return 0
		}
		n += q.Waiting + q.InFlight + q.Deferred
	}
	return n
}

// askQueues asks, and checks what holds for every answer. It fails if a queue cannot be asked.
func (s *subject) askQueues(ctx context.Context, lister sdk.QueueLister) ([]sdk.QueueInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	began := time.Now()
	infos, err := lister.Queues(ctx)
	if took := time.Since(began); took > queuesPatience {
		s.Errorf("Queues took %s, although a caller waits for a second", took)
	}
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, q := range infos {
		switch {
		case q.Queue == "" || strings.ContainsAny(q.Queue, "\r\n"):
			s.Errorf("a queue is called %q, which is no name for it in one line", q.Queue)
		case named[q.Queue]:
			s.Errorf("the queue %q is told twice", q.Queue)
		case strings.ContainsAny(q.Reason, "\r\n"):
			s.Errorf("the queue %q has a reason of several lines: %q", q.Queue, q.Reason)
		}
		named[q.Queue] = true
		if q.Reason != "" {
			err = errors.Join(err, errors.New(q.Queue+" could not be asked: "+q.Reason))
		}
	}
	return infos, err
}
