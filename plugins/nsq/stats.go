package nsq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

const (
	// statsTimeout bounds the question to all nsqd. It is shorter than the second that a host
	// waits, so that one nsqd that hangs does not cost the answers of the others.
	statsTimeout = 700 * time.Millisecond

	// statsAtOnce bounds the number of nsqd that are asked side by side.
	statsAtOnce = 16

	// maxStatsBytes is larger than an answer about one topic with all its clients: an old nsqd
	// cannot leave them out, and may have some thousand.
	maxStatsBytes = 4 << 20
)

// The reasons that are given for an nsqd that was not asked.
var (
	errNoHTTP   = errors.New("nsqlookupd does not say where its HTTP side is")
	errNotAsked = errors.New("there was no time left to ask it")
	errHTTPS    = errors.New("this is an HTTPS port, and nsqd is asked by HTTP alone")
)

// source names an nsqd that is consumed, or will be.
type source struct {
	address
	connected bool // and so subscribed to the channel
}

// sources returns all nsqd, in no order.
func (p *pool) sources() (all []source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.started { // nsqlookupd has not been asked yet
		for _, addr := range p.nsqds {
			all = append(all, source{address: addr})
		}
		return all
	}
	for _, one := range p.peers {
		all = append(all, source{address{one.addr, one.http}, one.conn != nil})
	}
	return all
}

// stats asks the HTTP side of nsqd how many messages wait for a channel.
type stats struct {
	query  string
	topic  string
	name   string // the channel's
	client *http.Client
}

func newStats(topic, channel string) *stats {
	return &stats{
		topic: topic, name: channel,
		query: url.Values{
			// Do not name the channel: nsqd would say nothing at all of a topic that lacks it.
			"format": {"json"}, "topic": {topic}, "include_clients": {"false"}, "include_mem": {"false"},
		}.Encode(),
		client: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// ask asks all sources. It returns when they have answered, when ctx ends, or after statsTimeout. A
// source that was not asked has a Reason.
func (s *stats) ask(ctx context.Context, sources []source) []sdk.QueueInfo {
	ctx, cancel := context.WithTimeout(ctx, statsTimeout)
	defer cancel()
	sides := map[string]int{}
	for _, from := range sources {
		sides[from.http]++
	}
	infos := make([]sdk.QueueInfo, len(sources))
	turns := make(chan struct{}, statsAtOnce)
	var asking sync.WaitGroup
	for i, from := range sources {
		asking.Go(func() {
			info, err := s.askInTurn(ctx, turns, from, sides[from.http] > 1)
			if err != nil {
				info = sdk.QueueInfo{Reason: oneLine([]byte(err.Error()))}
			}
			info.Queue = from.tcp
			infos[i] = info
		})
	}
	asking.Wait()
	return infos
}

func (s *stats) askInTurn(ctx context.Context, turns chan struct{}, from source, shared bool) (sdk.QueueInfo, error) {
	switch {
	case from.http == "":
		return sdk.QueueInfo{}, errNoHTTP
	case shared: // one of them is not it, and nobody knows which
		return sdk.QueueInfo{}, fmt.Errorf("its HTTP side at %s would be that of another nsqd too: nsqlookupd can tell them apart", from.http)
	}
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-ctx.Done():
		return sdk.QueueInfo{}, errNotAsked
	}
	info, err := s.askOne(ctx, from)
	if err != nil {
		return sdk.QueueInfo{}, fmt.Errorf("its HTTP side at %s: %w", from.http, err)
	}
	return info, nil
}

func (s *stats) askOne(ctx context.Context, from source) (info sdk.QueueInfo, err error) {
	status, body, err := ask(ctx, s.client, "http://"+from.http+"/stats?"+s.query, maxStatsBytes)
	if err != nil {
		return info, err
	}
	return s.parse(status, body, from.connected)
}

// parse reads the answer to /stats. The topic's own messages go to the channel once it exists and
// neither is paused, so they count as waiting for it.
//
// If we are connected to the nsqd, it has the channel, with us as a client. An answer without these
// comes from another nsqd, whose counts must not pass for those of ours.
func (s *stats) parse(status int, body []byte, connected bool) (info sdk.QueueInfo, err error) {
	var answer struct {
		Topics []struct {
			Name     string `json:"topic_name"`
			Depth    int64  `json:"depth"`
			Channels []struct {
				Name     string `json:"channel_name"`
				Depth    int64  `json:"depth"`
				InFlight int64  `json:"in_flight_count"`
				Deferred int64  `json:"deferred_count"`
				Clients  *int64 `json:"client_count"` // nil before nsqd 1.1
			} `json:"channels"`
		} `json:"topics"`
		Version string `json:"version"`
	}
	err = json.Unmarshal(body, &answer)
	switch {
	case status == http.StatusBadRequest && strings.Contains(string(body), "HTTPS server"):
		return info, errHTTPS
	case status != http.StatusOK:
		return info, fmt.Errorf("status %d: %s", status, oneLine(body))
	case err != nil || answer.Version == "":
		return info, errors.New("its answer to /stats is not nsqd's")
	}
	known := false
	for _, t := range answer.Topics {
		if t.Name != s.topic {
			continue
		}
		info.Waiting += count(t.Depth)
		for _, c := range t.Channels {
			if c.Name != s.name {
				continue
			}
			known = c.Clients == nil || *c.Clients > 0
			info.Waiting += count(c.Depth)
			info.InFlight += count(c.InFlight)
			info.Deferred += count(c.Deferred)
		}
	}
	if connected && !known {
		return sdk.QueueInfo{}, fmt.Errorf("it has no consumer of channel %s of topic %s, so it is another nsqd's: DEIS_NSQD_SERVICE_PORT_HTTP says where ours is", s.name, s.topic)
	}
	return info, nil
}

// count returns n, or 0 if nsqd states a negative number.
func count(n int64) uint64 { return uint64(max(n, 0)) }
