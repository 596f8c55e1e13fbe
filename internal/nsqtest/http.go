package nsqtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
)

// Stats holds nsqd's counts of a channel.
type Stats struct {
	Depth    int64  `json:"depth"`           // messages that wait
	InFlight int    `json:"in_flight_count"` // messages that a consumer has
	Deferred int    `json:"deferred_count"`  // messages that were requeued with a delay
	Messages uint64 `json:"message_count"`   // messages that the channel has ever received
	Requeued uint64 `json:"requeue_count"`
	TimedOut uint64 `json:"timeout_count"`
	Clients  []struct {
		Ready     int64  `json:"ready_count"` // its last RDY
		UserAgent string `json:"user_agent"`
	} `json:"clients"`

	TopicDepth int64 `json:"-"` // messages of the topic that no channel has received yet
}

// Empty reports whether no message of the channel is left.
func (s Stats) Empty() bool { return s.Depth == 0 && s.InFlight == 0 && s.Deferred == 0 }

// Publish puts messages into the topic, in order, and creates the topic if necessary.
func (s *Server) Publish(topic string, bodies ...[]byte) {
	s.t.Helper()
	var b bytes.Buffer
	put := func(n int) { b.Write(binary.BigEndian.AppendUint32(nil, uint32(n))) }
	put(len(bodies))
	for _, body := range bodies {
		put(len(body))
		b.Write(body)
	}
	s.do(http.MethodPost, "/mpub?binary=true&"+query(topic, ""), &b)
}

// CreateChannel creates the channel, so that it receives what is published from now on.
func (s *Server) CreateChannel(topic, channel string) {
	s.t.Helper()
	s.do(http.MethodPost, "/topic/create?"+query(topic, ""), http.NoBody)
	s.do(http.MethodPost, "/channel/create?"+query(topic, channel), http.NoBody)
}

// Post sends nsqd's HTTP API a command, such as "/channel/pause?topic=logs&channel=consume".
func (s *Server) Post(path string) {
	s.t.Helper()
	s.do(http.MethodPost, path, http.NoBody)
}

// Channel returns the channel's counts. nsqd reads them one after the other, so a message that
// moves meanwhile may be in none of them or in two. If there is no such channel, all are 0.
func (s *Server) Channel(topic, channel string) Stats {
	s.t.Helper()
	var all struct {
		Topics []struct {
			Depth    int64   `json:"depth"`
			Channels []Stats `json:"channels"`
		} `json:"topics"`
	}
	body := s.get("/stats?format=json&include_mem=false&" + query(topic, channel))
	if err := json.Unmarshal(body, &all); err != nil {
		s.t.Fatalf("statistics of nsqd: %v", err)
	}
	for _, t := range all.Topics {
		for _, c := range t.Channels {
			c.TopicDepth = t.Depth
			return c
		}
	}
	return Stats{}
}

// Drained reports whether nothing is left of the topic and its channel. It looks twice: a message
// that left the queue, but was not in flight yet when nsqd counted these, is so the second time.
func (s *Server) Drained(topic, channel string) bool {
	s.t.Helper()
	for range 2 {
		if c := s.Channel(topic, channel); !c.Empty() || c.TopicDepth != 0 {
			return false
		}
	}
	return true
}

func query(topic, channel string) string {
	q := url.Values{"topic": {topic}}
	if channel != "" {
		q.Set("channel", channel)
	}
	return q.Encode()
}

func (s *Server) get(path string) []byte {
	s.t.Helper()
	return s.do(http.MethodGet, path, http.NoBody)
}

func (s *Server) do(method, path string, body io.Reader) []byte {
	s.t.Helper()
	if s.child == nil {
		s.t.Fatalf("%s %s: this nsqd is stopped", method, path)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.HTTPAddr()+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatalf("ask nsqd: %v", err)
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // ReadAll has reported any error
	if err != nil {
		s.t.Fatalf("ask nsqd: %v", err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: nsqd answers %s: %s", method, path, resp.Status, answer)
	}
	return answer
}
