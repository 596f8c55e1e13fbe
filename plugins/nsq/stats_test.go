package nsq

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// openQueue makes the plugin for an nsqd and tells it the HTTP port.
func openQueue(t *testing.T, s *nsqtest.Server, env map[string]string) *aggregator {
	t.Helper()
	all := map[string]string{"DEIS_NSQD_SERVICE_PORT_HTTP": portOf(t, s.HTTPAddr())}
	maps.Copy(all, env)
	return open(t, s.TCPAddr(), all)
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// wantQueues waits until the plugin reports exactly these queues.
func wantQueues(t *testing.T, a *aggregator, want ...sdk.QueueInfo) {
	t.Helper()
	byName := func(a, b sdk.QueueInfo) int { return strings.Compare(a.Queue, b.Queue) }
	slices.SortFunc(want, byName)
	testwait.NoError(t, func() error {
		got, err := a.Queues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got, byName)
		if !slices.Equal(got, want) {
			return fmt.Errorf("the queues are %+v, want %+v", got, want)
		}
		return nil
	})
}

func TestQueuesTellWhatWaits(t *testing.T) {
	s := nsqtest.Start(t)
	at := s.TCPAddr()
	a := openQueue(t, s, map[string]string{"NSQ_MAX_IN_FLIGHT": "10"})
	wantQueues(t, a, sdk.QueueInfo{Queue: at}) // there is not even a topic
	s.Publish(topic, numbered(0, 3, 0)...)
	wantQueues(t, a, sdk.QueueInfo{Queue: at, Waiting: 3}) // in the topic, because nobody has subscribed
	h := &fakeHost{}
	h.hold()
	start(t, a, h)
	s.Publish(topic, numbered(3, 22, 0)...)
	s.Publish("other", numbered(0, 7, 0)...)
	wantQueues(t, a, sdk.QueueInfo{Queue: at, Waiting: 15, InFlight: 10})
	h.release(nil)
	wantQueues(t, a, sdk.QueueInfo{Queue: at})
	s.Post("/channel/pause?topic=" + topic + "&channel=" + channel)
	s.Publish(topic, numbered(25, 4, 0)...)
	wantQueues(t, a, sdk.QueueInfo{Queue: at, Waiting: 4})
}

func TestQueuesTellWhatIsDeferred(t *testing.T) {
	s := nsqtest.Start(t)
	a := openQueue(t, s, nil)
	h := &fakeHost{outcome: fmt.Errorf("no room: %w", sdk.ErrFull)}
	start(t, a, h)
	s.Publish(topic, numbered(0, 5, 0)...)
	testwait.Until(t, "all are deferred at once", func() bool {
		got, err := a.Queues(t.Context())
		return err == nil && len(got) == 1 && got[0].Deferred == 5 && got[0].Reason == ""
	})
}

func TestQueuesOfSeveralNSQD(t *testing.T) {
	l := nsqtest.StartLookupd(t)
	one, two := nsqtest.Start(t, l.Register), nsqtest.Start(t, l.Register)
	one.CreateChannel(topic, channel)
	two.CreateChannel(topic, channel)
	// The environment names the second nsqd too, because nsqlookupd forgets it when it is killed.
	a := discover(t, map[string]string{
		"NSQ_LOOKUPD_ADDRS": l.HTTPAddr(), "NSQ_NSQD_ADDRS": two.TCPAddr(), "DEIS_NSQD_SERVICE_PORT_HTTP": "1", "NSQ_MAX_IN_FLIGHT": "4",
	})
	h := &fakeHost{}
	h.hold()
	start(t, a, h)
	// Before that, more than the budget could be in flight: see regulate.
	testwait.Until(t, "each has its share", func() bool { return rdy(one) == 2 && rdy(two) == 2 })
	one.Publish(topic, numbered(0, 6, 0)...)
	two.Publish(topic, numbered(6, 9, 0)...)
	wantQueues(t, a,
		sdk.QueueInfo{Queue: one.TCPAddr(), Waiting: 4, InFlight: 2},
		sdk.QueueInfo{Queue: two.TCPAddr(), Waiting: 7, InFlight: 2})
	two.Kill()
	testwait.NoError(t, func() error {
		got, err := a.Queues(t.Context())
		slices.SortFunc(got, func(x, y sdk.QueueInfo) int { return strings.Compare(x.Reason, y.Reason) })
		if err == nil && len(got) == 2 && got[0].Queue == one.TCPAddr() && got[0].Waiting+got[0].InFlight == 6 &&
			strings.HasPrefix(got[1].Reason, "its HTTP side at "+two.HTTPAddr()+": ") && strings.Contains(got[1].Reason, "refused") {
			return nil
		}
		return fmt.Errorf("the one that is away has no reason, or the other no counts: %+v, %w", got, err)
	})
}

// TestNSQDByBothNames: the plugin uses what nsqlookupd says of an nsqd, even if the settings name
// that nsqd by its address.
func TestNSQDByBothNames(t *testing.T) {
	l := nsqtest.StartLookupd(t)
	s := nsqtest.Start(t, l.Register)
	a := discover(t, map[string]string{"NSQ_LOOKUPD_ADDRS": l.HTTPAddr(), "NSQ_NSQD_ADDRS": s.TCPAddr(), "DEIS_NSQD_SERVICE_PORT_HTTP": "1"})
	h := &fakeHost{}
	h.hold()
	start(t, a, h)
	s.Publish(topic, numbered(0, 2, 0)...)
	wantQueues(t, a, sdk.QueueInfo{Queue: s.TCPAddr(), InFlight: 2})
}

func TestQueuesThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	s := nsqtest.Start(t)
	other := nsqtest.Start(t)
	a := openQueue(t, s, nil)
	start(t, a, &fakeHost{})
	testwait.Until(t, "it is connected", func() bool { return a.Check(t.Context()) == nil })
	serve := func(handler http.HandlerFunc) string {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for name, c := range map[string]struct {
		http string
		want string
	}{
		"nothing there":    {"127.0.0.1:1", "its HTTP side at 127.0.0.1:1: dial tcp 127.0.0.1:1: "},
		"the TCP port":     {s.TCPAddr(), "its HTTP side at " + s.TCPAddr() + ": "},
		"another nsqd's":   {other.HTTPAddr(), "it has no consumer of channel consume of topic logs, so it is another nsqd's"},
		"HTTPS":            {strings.TrimPrefix(secure.URL, "https://"), "this is an HTTPS port"},
		"another server":   {serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }), "its answer to /stats is not nsqd's"},
		"a redirect":       {serve(http.RedirectHandler("http://"+s.HTTPAddr()+"/stats", http.StatusFound).ServeHTTP), "status 302"},
		"an endless one":   {serve(endless), "its HTTP side at "},
		"a refusal":        {serve(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "TLS\nREQUIRED", http.StatusForbidden) }), "status 403: TLS REQUIRED"},
		"nobody knows":     {"", "nsqlookupd does not say where its HTTP side is"},
		"one that is mute": {serve(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			got := a.stats.ask(t.Context(), []source{{address{s.TCPAddr(), c.http}, true}})
			if len(got) != 1 || got[0].Queue != s.TCPAddr() || !strings.Contains(got[0].Reason, c.want) || strings.ContainsAny(got[0].Reason, "\r\n") {
				t.Errorf("got %+v, want the reason %q", got, c.want)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	t.Run("none is to be", func(t *testing.T) {
		off := openQueue(t, s, map[string]string{"DEIS_NSQD_SERVICE_PORT_HTTP": "0"})
		if got, err := off.Queues(t.Context()); len(got) != 0 || err != nil {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("one side for two", func(t *testing.T) {
		got := a.stats.ask(t.Context(), []source{{address{"a:4150", s.HTTPAddr()}, false}, {address{"a:5150", s.HTTPAddr()}, false}})
		for _, q := range got {
			if !strings.Contains(q.Reason, "that of another nsqd too") {
				t.Errorf("%+v", q)
			}
		}
	})
	t.Run("no time left", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got := a.stats.ask(ctx, []source{{address{s.TCPAddr(), s.HTTPAddr()}, true}}); got[0].Reason == "" {
			t.Errorf("got %+v", got)
		}
	})
}

// endless writes as long as the client reads, more than it should read.
func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

// TestManyNSQDThatHang has more nsqd than are asked at once, and none answers.
func TestManyNSQDThatHang(t *testing.T) {
	t.Parallel()
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hangs.Close)
	port := portOf(t, strings.TrimPrefix(hangs.URL, "http://"))
	var all []source
	for i := range 3 * statsAtOnce {
		all = append(all, source{address: address{fmt.Sprintf("nsqd-%d:4150", i), fmt.Sprintf("127.0.0.%d:%s", i+1, port)}})
	}
	began := time.Now()
	got := newStats(topic, channel).ask(t.Context(), all)
	if took := time.Since(began); took > 5*statsTimeout {
		t.Errorf("it took %s, want about %s", took, statsTimeout)
	}
	for i, q := range got {
		if q.Queue != all[i].tcp || q.Reason == "" {
			t.Errorf("got %+v", q)
		}
	}
}

func TestParseStats(t *testing.T) {
	const one = `{"version":"1.3.0","topics":[{"topic_name":"logs","depth":2,"channels":[{"channel_name":"consume","depth":3,"in_flight_count":4,"deferred_count":5,"client_count":1}]}]}`
	for name, c := range map[string]struct {
		body      string
		connected bool
		want      sdk.QueueInfo
		ok        bool
	}{
		"all":                {one, true, sdk.QueueInfo{Waiting: 5, InFlight: 4, Deferred: 5}, true},
		"no topic yet":       {`{"version":"1","topics":[]}`, false, sdk.QueueInfo{}, true},
		"null":               {`{"version":"1","topics":null}`, false, sdk.QueueInfo{}, true},
		"no channel yet":     {`{"version":"1","topics":[{"topic_name":"logs","depth":2}]}`, false, sdk.QueueInfo{Waiting: 2}, true},
		"but subscribed":     {`{"version":"1","topics":[{"topic_name":"logs","depth":2}]}`, true, sdk.QueueInfo{}, false},
		"others' clients":    {strings.ReplaceAll(one, `"client_count":1`, `"client_count":0`), true, sdk.QueueInfo{}, false},
		"clients not told":   {strings.ReplaceAll(one, `"client_count":1`, `"paused":false`), true, sdk.QueueInfo{Waiting: 5, InFlight: 4, Deferred: 5}, true},
		"all topics":         {strings.ReplaceAll(one, `[{"topic`, `[{"topic_name":"other","depth":9},{"topic`), true, sdk.QueueInfo{Waiting: 5, InFlight: 4, Deferred: 5}, true},
		"below zero":         {`{"version":"1","topics":[{"topic_name":"logs","depth":-2}]}`, false, sdk.QueueInfo{}, true},
		"not unwrapped":      {`{"status_code":200,"data":{"version":"0.3.8","topics":[]}}`, false, sdk.QueueInfo{}, false},
		"a number too large": {`{"version":"1","topics":[{"topic_name":"logs","depth":1e99}]}`, false, sdk.QueueInfo{}, false},
		"no JSON":            {`<html>`, false, sdk.QueueInfo{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newStats(topic, channel).parse(http.StatusOK, []byte(c.body), c.connected)
			if got != c.want || (err == nil) != c.ok {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func FuzzParseStats(f *testing.F) {
	f.Add(200, []byte(`{"version":"1.3.0","topics":[{"topic_name":"logs","depth":2,"channels":[{"channel_name":"consume","depth":3}]}]}`))
	f.Add(400, []byte("Client sent an HTTP request to an HTTPS server.\n"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got, err := newStats(topic, channel).parse(status, body, true)
		if err != nil && (got != sdk.QueueInfo{} || strings.ContainsAny(oneLine([]byte(err.Error())), "\r\n")) {
			t.Errorf("got %+v, %q", got, err)
		}
	})
}
