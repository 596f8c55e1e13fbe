package nsq

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// pollEvery is the time between two questions to nsqlookupd. It is pollSoon while no nsqd is
	// known.
	pollEvery = 15 * time.Second
	pollSoon  = time.Second

	lookupTimeout = 3 * time.Second

	// maxLookupBytes is larger than the answer about a topic on a thousand nsqd.
	maxLookupBytes = 4 << 20
)

// topicNotFound is nsqlookupd's answer about a topic that it does not know.
const topicNotFound = "TOPIC_NOT_FOUND"

// errNoTopic is the reason while nsqlookupd knows no nsqd that has the topic.
var errNoTopic = errors.New("nsqlookupd knows none yet")

// lookup asks nsqlookupd which nsqd have the topic.
type lookup struct {
	addrs   []string
	topic   string
	every   time.Duration
	logger  hclog.Logger
	outages limiter

	mu  sync.Mutex
	err error // of the last poll; nil if all answered and some nsqd is known
}

// address tells where an nsqd is.
type address struct {
	tcp  string // host:port; it is known by this one
	http string // host:port of its HTTP side; empty if nobody says
}

func newLookup(addrs []string, topic string, logger hclog.Logger) *lookup {
	return &lookup{
		addrs: addrs, topic: topic, every: pollEvery, logger: logger,
		outages: limiter{every: logInterval}, err: errConnecting,
	}
}

// reason says why no nsqd is known.
func (l *lookup) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return errNoTopic
	}
	return l.err
}

// run asks again and again until ctx ends, and each time hands over all nsqd that are known. While
// an nsqlookupd does not answer, what it said last stands.
func (l *lookup) run(ctx context.Context, update func(nsqds []address)) {
	client := &http.Client{Timeout: lookupTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	known := make([][]address, len(l.addrs))
	for {
		errs := make([]error, len(l.addrs))
		var asking sync.WaitGroup
		for i, addr := range l.addrs {
			asking.Go(func() {
				var found []address
				if found, errs[i] = l.ask(ctx, client, addr); errs[i] == nil {
					known[i] = found
				}
			})
		}
		asking.Wait()
		if ctx.Err() != nil {
			return
		}
		all := slices.Concat(known...)
		slices.SortFunc(all, func(a, b address) int { return cmp.Or(strings.Compare(a.tcp, b.tcp), strings.Compare(b.http, a.http)) })
		l.note(slices.DeleteFunc(errs, func(err error) bool { return err == nil }))
		update(slices.CompactFunc(all, func(a, b address) bool { return a.tcp == b.tcp }))
		wait := l.every
		if len(all) == 0 {
			wait = min(wait, pollSoon)
		}
		if !sleep(ctx, jittered(wait)) {
			return
		}
	}
}

func (l *lookup) note(errs []error) {
	var err error
	if len(errs) > 0 {
		err = errs[0]
		if n, ok := l.outages.allow(time.Now()); ok {
			l.logger.Warn("nsqlookupd does not say where nsqd is: asking again", "error", err, "lines_left_out", n)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// ask asks one nsqlookupd. If the topic is unknown, that is no error: it comes with its first
// message.
func (l *lookup) ask(ctx context.Context, client *http.Client, addr string) ([]address, error) {
	target := "http://" + addr + "/lookup?" + url.Values{"topic": {l.topic}}.Encode()
	status, body, err := ask(ctx, client, target, maxLookupBytes)
	if err != nil {
		if strings.Contains(err.Error(), "malformed HTTP") {
			err = errors.New("this is no HTTP port; nsqlookupd's is 4161 by default")
		}
		return nil, fmt.Errorf("nsqlookupd at %s: %w", addr, err)
	}
	found, err := parseLookup(status, body)
	if err != nil {
		return nil, fmt.Errorf("nsqlookupd at %s: %w", addr, err)
	}
	return found, nil
}

// parseLookup reads the answer to /lookup. An nsqlookupd before 1.0 that does not heed acceptV1
// says by status 500 and status_txt that it knows no such topic.
func parseLookup(status int, body []byte) ([]address, error) {
	type producer struct {
		Host string `json:"broadcast_address"`
		Port int    `json:"tcp_port"`
		HTTP int    `json:"http_port"`
	}
	var answer struct {
		Message   string      `json:"message"`
		OldText   string      `json:"status_txt"`
		Producers *[]producer `json:"producers"` // nil if the answer has none, which nsqlookupd's always has
	}
	err := json.Unmarshal(body, &answer)
	switch {
	case status == http.StatusNotFound && answer.Message == topicNotFound,
		status == http.StatusInternalServerError && answer.OldText == topicNotFound:
		return nil, nil
	case status != http.StatusOK:
		return nil, fmt.Errorf("status %d: %s", status, oneLine(body))
	case err != nil:
		return nil, fmt.Errorf("its answer to /lookup is not nsqlookupd's: %s", oneLine([]byte(err.Error())))
	case answer.Producers == nil:
		return nil, fmt.Errorf("its answer to /lookup is not nsqlookupd's: it has no producers: %s", oneLine(body))
	}
	var out []address
	for _, one := range *answer.Producers {
		addr := address{tcp: net.JoinHostPort(one.Host, strconv.Itoa(one.Port))}
		if !isAddr(addr.tcp) {
			return nil, fmt.Errorf("it names an nsqd at %q", oneLine([]byte(addr.tcp)))
		}
		if side := net.JoinHostPort(one.Host, strconv.Itoa(one.HTTP)); isAddr(side) {
			addr.http = side // one without HTTP is consumed all the same
		}
		out = append(out, addr)
	}
	return out, nil
}
