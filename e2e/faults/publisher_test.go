package faults

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
)

// publisher publishes a line of every app, again and again, at a bounded rate until it is told to
// stop. The lines that it publishes together have the same number.
type publisher struct {
	url    string
	apps   int
	client *http.Client
	// strange, if set, returns further messages to publish together with the lines of this number.
	strange func(number int) [][]byte

	stop chan struct{}
	done chan struct{}
	once sync.Once
	next atomic.Int64 // the next number
	// acked has the numbers that nsqd accepted. If nsqd did not answer, the lines may or may not be
	// in the queue.
	mu    sync.Mutex
	acked map[int]bool
}

// publish starts a publisher of lines of the apps, numbered upwards from the number from.
func publish(t *testing.T, nsqd string, apps, from int, every time.Duration, strange func(number int) [][]byte) *publisher {
	t.Helper()
	p := &publisher{
		url: "http://" + nsqd + "/mpub?topic=logs&binary=true", apps: apps, strange: strange,
		client: &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second},
		stop:   make(chan struct{}), done: make(chan struct{}), acked: map[int]bool{},
	}
	p.next.Store(int64(from))
	go p.run(every)
	t.Cleanup(p.end)
	return p
}

func (p *publisher) run(every time.Duration) {
	defer close(p.done)
	defer p.client.CloseIdleConnections()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
		number := int(p.next.Add(1)) - 1
		bodies := make([][]byte, p.apps)
		for app := range bodies {
			bodies[app] = harness.Numbered(number, app)
		}
		if p.strange != nil {
			bodies = append(bodies, p.strange(number)...)
		}
		if p.send(bodies) {
			p.mu.Lock()
			p.acked[number] = true
			p.mu.Unlock()
		}
	}
}

// send publishes the messages and reports whether nsqd accepted them.
func (p *publisher) send(bodies [][]byte) bool {
	put := binary.BigEndian.AppendUint32
	b := put(nil, uint32(len(bodies)))
	for _, body := range bodies {
		b = append(put(b, uint32(len(body))), body...)
	}
	resp, err := p.client.Post(p.url, "", bytes.NewReader(b))
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// end stops the publisher and returns once it has stopped.
func (p *publisher) end() {
	p.once.Do(func() { close(p.stop) })
	<-p.done
}

// accepted returns the numbers that nsqd accepted.
func (p *publisher) accepted() map[int]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[int]bool, len(p.acked))
	for n := range p.acked {
		out[n] = true
	}
	return out
}
