package loki

import (
	"sync"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// sharedBytes bounds the messages that tails share; most messages have only a few lines.
const sharedBytes = 64 << 10

// sharedTails holds what tails of the same lines share.
type sharedTails struct {
	mu  sync.Mutex
	all map[sharedKey]*shared
}

// sharedKey identifies tails of the same lines.
type sharedKey struct{ query, app string }

// shared holds the newest message of the tails that show the same lines of an app. The first tail
// to reach a batch makes the message for all.
type shared struct {
	mu      sync.Mutex
	users   int
	first   *sdk.Entry // first entry of the batch, which identifies it: all readers have the same entries
	entries int
	message []byte
}

// join adds a tail. The caller calls leave.
func (s *sharedTails) join(k sharedKey) (of *shared, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of = s.all[k]; of == nil {
		if s.all == nil {
			s.all = map[sharedKey]*shared{}
		}
		of = &shared{}
		s.all[k] = of
	}
	of.add(1)
	return of, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if of.add(-1) == 0 {
			delete(s.all, k)
		}
	}
}

func (s *shared) add(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users += n
	return s.users
}

// of returns the message that another tail has made of the batch, if there is one. The message is
// empty if no line of the batch passes.
func (s *shared) of(b *read.Batch) (message []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b.Entries) == 0 || s.first != &b.Entries[0] || s.entries != len(b.Entries) {
		return nil, false
	}
	return s.message, true
}

// keep offers the message of a batch to other tails. If it returns true, nobody may change the
// message.
func (s *shared) keep(b *read.Batch, message []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users < 2 || len(b.Entries) == 0 || len(message) > sharedBytes {
		return false
	}
	s.first, s.entries, s.message = &b.Entries[0], len(b.Entries), message
	return true
}
