package nsq

import "slices"

// storedIDs remembers messages that were stored and whose FIN may not have reached nsqd: the FIN
// can be lost with its connection, or come after the message has timed out. Nsqd then delivers the
// message again; it is found here, and not stored twice.
//
// FINs are not confirmed. But nsqd has at most max-in-flight messages out, so only that many of the
// latest FINs can be in doubt at any time. After nsqd was killed, all FINs are in doubt since it
// last wrote down how far it had read its disk queue. When there is reason to doubt, these messages
// are put aside, since nsqd may deliver a whole backlog before them.
type storedIDs struct {
	latest []messageKey // a ring once it is full
	added  int          // in all

	doubted  int // of those added, how many have been put aside or forgotten
	doubtful map[messageKey]struct{}
	order    []messageKey // of doubtful; a ring once it is full
	oldest   int          // in order
	inFlight int
}

// The ring of latest messages has room for those of two connections, and the ring of doubtful ones
// for those of several outages.
const (
	latestPerInFlight   = 2
	doubtfulPerInFlight = 16
)

// syncEvery is nsqd's default of --sync-every: how many messages a killed nsqd may
// read from its disk queue once more.
const syncEvery = 2500

func newStoredIDs(inFlight int) storedIDs {
	return storedIDs{inFlight: inFlight, doubtful: map[messageKey]struct{}{}}
}

// add remembers a message that is stored, before its FIN is sent.
func (s *storedIDs) add(key messageKey) {
	if len(s.latest) < latestPerInFlight*s.inFlight {
		s.latest = append(s.latest, key)
	} else {
		s.latest[s.added%len(s.latest)] = key
	}
	s.added++
}

// doubt puts the latest messages aside.
func (s *storedIDs) doubt() {
	for i := max(s.doubted, s.added-len(s.latest)); i < s.added; i++ {
		id := s.latest[i%len(s.latest)]
		s.doubtful[id] = struct{}{}
		if len(s.order) < doubtfulPerInFlight*s.inFlight {
			s.order = append(s.order, id)
			continue
		}
		delete(s.doubtful, s.order[s.oldest])
		s.order[s.oldest] = id
		s.oldest = (s.oldest + 1) % len(s.order)
	}
	s.doubted = s.added
}

// has reports whether the message is known to be stored.
func (s *storedIDs) has(key messageKey) bool {
	return s.inDoubt(key) || slices.Contains(s.latest, key)
}

// inDoubt reports whether the message is among those put aside. Unlike has, it is cheap enough for
// every message.
func (s *storedIDs) inDoubt(key messageKey) bool {
	_, ok := s.doubtful[key]
	return ok
}
