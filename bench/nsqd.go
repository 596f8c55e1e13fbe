package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/internal/embednsqd"
)

const (
	topic   = "logs"
	channel = "consume"
)

// queue runs an nsqd.
type queue struct {
	*process
	TCP, HTTP string
}

// startQueue runs an nsqd whose queue stays in memory up to that many messages.
func (r *rig) startQueue(ctx context.Context, messages int) (*queue, error) {
	dir, err := r.folder()
	if err != nil {
		return nil, err
	}
	q := &queue{}
	if q.process, err = start(ctx, part{Role: "nsqd", Dir: dir, MemQueue: int64(messages) + 10_000}, q); err != nil {
		return nil, err
	}
	for _, path := range []string{"/topic/create", "/channel/create"} {
		if err := q.post(ctx, path); err != nil {
			q.kill()
			return nil, err
		}
	}
	return q, nil
}

// stop ends nsqd at once: its queue need not be written to disk.
func (q *queue) stop() { q.kill() }

func playNSQD(ctx context.Context, p part, ready func(any) error) error {
	s, err := embednsqd.New(embednsqd.Options{DataPath: p.Dir, Tune: func(o *nsqd.Options) {
		o.MemQueueSize = p.MemQueue
	}})
	if err != nil {
		return err
	}
	if err := ready(queue{TCP: s.TCPAddr(), HTTP: s.HTTPAddr()}); err != nil {
		return err
	}
	return s.Run(ctx)
}

// pause withholds the channel's messages from its consumers, so that a drain begins when all are
// connected. unpause releases them.
func (q *queue) pause(ctx context.Context) error   { return q.post(ctx, "/channel/pause") }
func (q *queue) unpause(ctx context.Context) error { return q.post(ctx, "/channel/unpause") }

func (q *queue) url(path string) string {
	return "http://" + q.HTTP + path + "?" + url.Values{"topic": {topic}, "channel": {channel}}.Encode()
}

func (q *queue) post(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, q.url(path), http.NoBody)
	if err != nil {
		return err
	}
	return do(req, nil)
}

// counts holds nsqd's counts of a channel.
type counts struct {
	Depth    int `json:"depth"`
	InFlight int `json:"in_flight_count"`
	Deferred int `json:"deferred_count"`
	Messages int `json:"message_count"`
	Requeued int `json:"requeue_count"`
	TimedOut int `json:"timeout_count"`
	Clients  int `json:"client_count"`
}

func (c counts) left() int { return c.Depth + c.InFlight + c.Deferred }

func (q *queue) counts(ctx context.Context) (counts, error) {
	if err := q.ended(); err != nil {
		return counts{}, fmt.Errorf("nsqd: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.url("/stats")+"&format=json&include_mem=false&include_clients=false", http.NoBody)
	if err != nil {
		return counts{}, err
	}
	var stats struct {
		Topics []struct {
			Depth    int      `json:"depth"`
			Channels []counts `json:"channels"`
		} `json:"topics"`
	}
	if err := do(req, &stats); err != nil {
		return counts{}, err
	}
	for _, t := range stats.Topics {
		for _, c := range t.Channels {
			c.Depth += t.Depth // on its way to the channel
			return c, nil
		}
	}
	return counts{}, fmt.Errorf("nsqd has no channel %s of topic %s", channel, topic)
}

// fill publishes the messages of the workload, beginning with number first, and waits until the
// channel has them all.
func (q *queue) fill(ctx context.Context, s workload, first int) error {
	before, err := q.counts(ctx)
	if err != nil {
		return err
	}
	p, err := newPublisher(ctx, q.TCP)
	if err != nil {
		return err
	}
	defer p.close()
	const most, mostBytes = 500, 1 << 20
	bodies, size := make([][]byte, 0, most), 0
	for i := range s.messages {
		m := s.message(first + i)
		bodies, size = append(bodies, m), size+len(m)
		if len(bodies) == most || size > mostBytes || i == s.messages-1 {
			if err := p.publish(bodies...); err != nil {
				return fmt.Errorf("fill the topic: %w", err)
			}
			bodies, size = bodies[:0], 0
		}
	}
	return poll(ctx, "the channel has all messages", 5*time.Millisecond, time.Minute, func() (bool, error) {
		c, err := q.counts(ctx)
		return c.Messages-before.Messages == s.messages, err
	})
}

// do sends a request and fails unless the status is 200. If answer is not nil, do decodes the JSON
// of the answer into it.
func do(req *http.Request, answer any) error {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %.200s", req.Method, req.URL, resp.Status, body)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(body, answer)
}
