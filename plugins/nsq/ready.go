package nsq

import (
	"context"
	"time"

	gonsq "github.com/nsqio/go-nsq"
)

// rotateEvery is the length of a connection's turn while there are fewer messages than connections.
const rotateEvery = 200 * time.Millisecond

// readyState holds memory that regulate reuses each time.
type readyState struct {
	conns                []*conn
	inFlight, limit, rdy []int
}

// regulate tells each nsqd how many messages it may have in flight now, if that has changed. It is
// called whenever something changes that this depends on.
//
// nsqd does not confirm the number, and may have sent more just before. So when the shares of
// connections change, more than the budget may be in flight until enough messages are settled.
func (p *pool) regulate() {
	p.readyMu.Lock()
	defer p.readyMu.Unlock()
	if p.stopping {
		return // farewell says so
	}
	s := &p.ready
	defer func() { clear(s.conns) }() // none is kept alive
	s.conns, s.limit = s.conns[:0], s.limit[:0]
	p.mu.Lock()
	f := p.flow
	for _, one := range p.peers {
		if c := one.conn; c != nil && !c.lost.Load() {
			s.conns = append(s.conns, c)
		}
	}
	p.mu.Unlock()
	if f == nil || len(s.conns) == 0 {
		return
	}
	sortByAddr(s.conns)
	for _, c := range s.conns {
		s.limit = append(s.limit, c.maxReady)
	}
	s.inFlight = resize(s.inFlight, len(s.conns))
	s.rdy = resize(s.rdy, len(s.conns))
	if f.open(s.conns, s.inFlight) {
		share(s.rdy, p.budget, p.turn, s.limit)
		restrain(s.rdy, p.budget, s.inFlight)
	} else {
		clear(s.rdy)
	}
	if len(s.conns) > p.budget {
		select {
		case p.scarce <- struct{}{}:
		default:
		}
	}
	for i, c := range s.conns {
		if c.ready != s.rdy[i] {
			c.ready = s.rdy[i]
			c.command(gonsq.Ready(c.ready)) // a failure shows as the loss of the connection
		}
	}
}

// rotate gives each connection its turn while there are fewer messages than connections, until ctx
// ends. Otherwise it sleeps until regulate says that there are: waking up costs an idle system.
func (p *pool) rotate(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.scarce:
		}
		if !sleep(ctx, p.rotation) {
			return
		}
		p.readyMu.Lock()
		p.turn++
		p.readyMu.Unlock()
		p.regulate() // which says whether it is still so
	}
}

// share gives each of len(limit) connections an equal part of the budget, but no more than its
// limit: what one cannot take, the others get. If the budget is smaller than the number of
// connections, those whose turn it is get one message.
func share(out []int, budget, turn int, limit []int) {
	clear(out)
	n := len(limit)
	if budget < n {
		for i := range budget {
			out[(turn+i)%n] = 1
		}
		return
	}
	for left := n; left > 0 && budget > 0; {
		part, again := budget/left, false
		for i := range out {
			if out[i] == 0 && limit[i] <= part {
				out[i] = limit[i]
				budget -= limit[i]
				left--
				again = true
			}
		}
		if again {
			continue
		}
		for i := range out {
			if out[i] == 0 {
				out[i] = budget / left
				budget -= out[i]
				left--
			}
		}
	}
}

// restrain reduces the shares so that no more than the budget gets in flight. A connection that
// loses a part of its share still has messages; until they are settled, nobody else may have that
// part.
func restrain(rdy []int, budget int, inFlight []int) {
	excess := -budget
	for i := range rdy {
		excess += max(rdy[i], inFlight[i])
	}
	for i := 0; i < len(rdy) && excess > 0; i++ {
		if room := rdy[i] - inFlight[i]; room > 0 {
			take := min(room, excess)
			rdy[i] -= take
			excess -= take
		}
	}
}

func resize(s []int, n int) []int {
	if cap(s) < n {
		return make([]int, n)
	}
	return s[:n]
}
