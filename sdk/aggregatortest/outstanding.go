package aggregatortest

import (
	"fmt"
	"time"
)

const (
	// agreeing is how many equal counts in a row, pause apart, make sure of what a transport has: a
	// single one may catch messages while they move.
	agreeing = 5
	pause    = 10 * time.Millisecond
	// unrest bounds how long a count may be off because messages move. An acknowledged message
	// stays acknowledged: a count that misses it does not come right again.
	unrest = 3 * time.Second
)

// watch looks until it is sure that n messages are outstanding, or sees another number,
// and returns what it saw last.
func watch(transport Transport, n int) (seen int, err error) {
	for look := range agreeing {
		if look > 0 {
			time.Sleep(pause)
		}
		if seen, err = transport.Outstanding(); err != nil || seen != n {
			break
		}
	}
	return seen, err
}

// rests reports whether n messages are outstanding, after it has waited for them to come to rest.
func (s *subject) rests(n int) bool {
	s.Helper()
	seen, err := watch(s.transport, n)
	if err != nil {
		s.Fatalf("Outstanding: %v", err)
	}
	return seen == n
}

// keeps reports whether n messages are still outstanding. If a count differs, it looks again, for
// as long as messages may move.
func (s *subject) keeps(n int) bool {
	s.Helper()
	if s.outstanding() == n {
		return true
	}
	for deadline := time.Now().Add(unrest); !s.rests(n); time.Sleep(pause) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// outstanding returns how many messages are outstanding. It may be off by the messages that
// move just then.
func (s *subject) outstanding() int {
	s.Helper()
	n, err := s.transport.Outstanding()
	if err != nil {
		s.Fatalf("Outstanding: %v", err)
	}
	return n
}

// comesTo waits until n messages are outstanding.
func (s *subject) comesTo(n int, what string) {
	s.Helper()
	s.eventually(fmt.Sprintf("%s (want %d outstanding)", what, n), func() bool { return s.rests(n) })
}

// empty waits until the transport has nothing left.
func (s *subject) empty() {
	s.Helper()
	s.comesTo(0, "all is acknowledged")
}
