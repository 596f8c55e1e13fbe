package nsq

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// old038 serves answers recorded from nsqd and nsqlookupd 0.3.8. The JSON is wrapped unless the
// request accepts version 1.0. If deaf is set, it is always wrapped.
func old038(t *testing.T, deaf bool, answers map[string]string) (addr string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wrap := deaf || r.Header.Get("Accept") != "application/vnd.nsq; version=1.0"
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		data, known := answers[r.URL.Path+"?topic="+r.URL.Query().Get("topic")]
		switch {
		case known && wrap:
			_, _ = fmt.Fprintf(w, `{"status_code":200,"status_txt":"OK","data":%s}`, data)
		case known:
			_, _ = fmt.Fprint(w, data)
		case wrap:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprint(w, `{"status_code":500,"status_txt":"TOPIC_NOT_FOUND","data":null}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprint(w, `{"message":"TOPIC_NOT_FOUND"}`)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// TestNSQBefore1 finds an nsqd through an nsqlookupd from before 1.0, and asks it what waits.
func TestNSQBefore1(t *testing.T) {
	for name, deaf := range map[string]bool{"takes the new form": false, "wraps all the same": true} {
		t.Run(name, func(t *testing.T) {
			s := nsqtest.Start(t)
			stats := old038(t, deaf, map[string]string{"/stats?topic=" + topic: `{"version":"0.3.8","health":"OK",` +
				`"start_time":1795899366,"topics":[{"topic_name":"logs","depth":2,"backend_depth":0,"message_count":2,` +
				`"paused":false,"channels":[{"channel_name":"consume","depth":3,"backend_depth":0,"in_flight_count":4,` +
				`"deferred_count":5,"message_count":9,"requeue_count":0,"timeout_count":0,"clients":[],"paused":false}]}]}`})
			lookupd := old038(t, deaf, map[string]string{"/lookup?topic=" + topic: `{"channels":[],"producers":[{` +
				`"remote_address":"127.0.0.1:48994","hostname":"vm","broadcast_address":"127.0.0.1","tcp_port":` +
				portOf(t, s.TCPAddr()) + `,"http_port":` + portOf(t, stats) + `,"version":"0.3.8"}]}`})
			a := discover(t, map[string]string{"NSQ_LOOKUPD_ADDRS": lookupd})
			h := &fakeHost{}
			start(t, a, h)
			s.Publish(topic, numbered(0, 1, 0)...)
			testwait.Until(t, "the nsqd is found", func() bool { return h.count() == 1 })
			wantQueues(t, a, sdk.QueueInfo{Queue: s.TCPAddr(), Waiting: 5, InFlight: 4, Deferred: 5})
		})
	}
}

func TestNSQLookupdBefore1KnowsNoTopic(t *testing.T) {
	for name, deaf := range map[string]bool{"takes the new form": false, "wraps all the same": true} {
		t.Run(name, func(t *testing.T) {
			a := discover(t, map[string]string{"NSQ_LOOKUPD_ADDRS": old038(t, deaf, nil)})
			start(t, a, &fakeHost{})
			wantCheck(t, a, "no nsqd is known for the topic logs: nsqlookupd knows none yet")
		})
	}
}

// TestUnwrap includes answers that look wrapped but are not.
func TestUnwrap(t *testing.T) {
	for body, want := range map[string]string{
		`{"status_code":200,"status_txt":"OK","data":{"producers":[]}}`: `{"producers":[]}`,
		`{"status_code":500,"status_txt":"X","data":null}`:              "",
		`{"status_code":200,"status_txt":"OK"}`:                         "",
		`{"data":{"producers":[]}}`:                                     "",
		`[200]`:                                                         "",
		`<html>`:                                                        "",
		``:                                                              "",
	} {
		if got := string(unwrap([]byte(body))); got != cmp.Or(want, body) {
			t.Errorf("unwrap(%s) is %s", body, got)
		}
	}
}

// TestAsksForTheNewForm checks the Accept header of each request.
func TestAsksForTheNewForm(t *testing.T) {
	asked := make(chan http.Header, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header }))
	t.Cleanup(server.Close)
	addr := strings.TrimPrefix(server.URL, "http://")
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	l := newLookup([]string{addr}, topic, nil)
	for name, question := range map[string]func() error{
		"lookup": func() error { _, err := l.ask(t.Context(), server.Client(), addr); return err },
		"stats": func() error {
			_, err := newStats(topic, channel).askOne(t.Context(), source{address: address{host + ":4150", addr}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := question(); err == nil {
				t.Error("an empty answer is no error")
			}
			if got := (<-asked).Get("Accept"); got != "application/vnd.nsq; version=1.0" {
				t.Errorf("Accept: %q", got)
			}
		})
	}
}
