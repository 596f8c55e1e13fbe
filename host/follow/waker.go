package follow

import (
	"runtime"
	"sync"
)

// waker wakes the followers of streams that have something new: a few at a time, and the streams in
// turn. If thousands ran at once, they would hold up the goroutines that bring the next lines. This
// way those lines come in the meantime, and a follower that had to wait sends them together.
type waker struct {
	mu      sync.Mutex
	due     []*stream
	running bool
}

// wokenAtOnce is the number of followers after which the waker yields the processor to them.
const wokenAtOnce = 10

// wake makes the waker wake the stream's followers soon.
func (w *waker) wake(s *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.due {
		return
	}
	s.due = true
	if w.due = append(w.due, s); !w.running {
		w.running = true
		s.hub.running.Go(w.run) // ends when no stream is due
	}
}

func (w *waker) run() {
	var all []*Follower
	for s := w.next(); s != nil; s = w.next() {
		all = s.waiting(all[:0])
		for i, f := range all {
			select {
			case f.woken <- struct{}{}:
			default: // it is woken already
			}
			if i%wokenAtOnce == wokenAtOnce-1 {
				runtime.Gosched()
			}
		}
		clear(all)
	}
}

// next takes the stream that has been due the longest; nil if none is due.
func (w *waker) next() *stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running = len(w.due) > 0; !w.running {
		return nil
	}
	s := w.due[0]
	w.due = w.due[1:]
	s.due = false
	return s
}
