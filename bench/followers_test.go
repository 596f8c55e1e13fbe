package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	gonsq "github.com/nsqio/go-nsq"
)

// fakeTail takes messages from nsqd and sends each to all followers.
type fakeTail struct {
	mu        sync.Mutex
	followers map[chan []byte]struct{}
}

func (f *fakeTail) consume(ctx context.Context, addr string) error {
	w, err := dialNSQ(ctx, addr)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, w.close)()
	for _, c := range []*gonsq.Command{gonsq.Subscribe(topic, channel), gonsq.Ready(10)} {
		if err := w.command(c); err != nil {
			return err
		}
	}
	for {
		kind, data, err := w.frame()
		if err != nil || kind != gonsq.FrameTypeMessage {
			if err != nil {
				return err
			}
			continue
		}
		m, err := gonsq.DecodeMessage(data)
		if err != nil {
			return err
		}
		f.mu.Lock()
		for c := range f.followers {
			c <- m.Body
		}
		f.mu.Unlock()
		if err := w.command(gonsq.Finish(m.ID)); err != nil {
			return err
		}
	}
}

// ServeHTTP implements [http.Handler].
func (f *fakeTail) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := make(chan []byte, 1000)
	f.mu.Lock()
	f.followers[c] = struct{}{}
	f.mu.Unlock()
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case line := <-c:
			_, _ = w.Write(append(line, '\n'))
			_ = http.NewResponseController(w).Flush()
		}
	}
}

func TestFollow(t *testing.T) {
	r := newTestRig(t)
	r.options.size.follow = 500 * time.Millisecond
	q, err := r.startQueue(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer q.stop()
	tail := &fakeTail{followers: make(map[chan []byte]struct{})}
	server := httptest.NewServer(tail)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var consuming sync.WaitGroup
	consuming.Go(func() {
		if err := tail.consume(ctx, q.TCP); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	defer consuming.Wait()
	defer cancel()

	values, err := r.follow(ctx, &logger{url: server.URL}, q, 5)
	if err != nil {
		t.Fatal(err)
	}
	if len(values) != 5*10 {
		t.Errorf("%d times, want one for each of 10 lines and 5 followers", len(values))
	}
	if slowest := quantile(values, 1); !(slowest > 0 && slowest < 5000) {
		t.Errorf("the slowest took %v ms", slowest)
	}
}

// TestIdleFollowers finds the cost of followers in the process that holds them, which is the test's
// own here.
func TestIdleFollowers(t *testing.T) {
	r := newTestRig(t)
	r.options.size.followers, r.options.size.follow = []int{50}, 0
	server := httptest.NewServer(&fakeTail{followers: make(map[chan []byte]struct{})})
	defer server.Close()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	l := &logger{
		process: &process{cmd: &exec.Cmd{Process: self}},
		url:     server.URL, plugins: map[string]int{"storage": self.Pid, "aggregator": self.Pid},
	}
	if err := r.idleFollowers(t.Context(), "memory", l); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range r.figures.all() {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, ", "); !strings.Contains(got, "memory: 50 idle followers: memory") || !strings.Contains(got, "CPU") {
		t.Errorf("figures: %s", got)
	}
}

// TestTargetsOfFollowers compares the names that measures make with those of the targets: a target
// without figures would be left out silently.
func TestTargetsOfFollowers(t *testing.T) {
	for _, storage := range storages {
		for _, n := range fullSizes.followers {
			want := key{"followers", fmt.Sprintf("%s: %d followers: p99", storage, n), ms}
			found := false
			for _, target := range targets {
				found = found || target.figure == want
			}
			if !found {
				t.Errorf("no target has %+v", want)
			}
		}
	}
}
