package nsq

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/internal/metricstest"
	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
)

// discover makes the plugin ask often, which no setting does.
func discover(t *testing.T, env map[string]string) *aggregator {
	t.Helper()
	a := open(t, "", env)
	a.pool.lookup.every = 40 * time.Millisecond
	return a
}

func wantCheck(t *testing.T, a *aggregator, parts ...string) {
	t.Helper()
	testwait.NoError(t, func() error {
		said := fmt.Sprint(a.Check(t.Context()))
		rest, found := said, !strings.ContainsAny(said, "\r\n")
		for _, part := range parts {
			if _, rest, found = strings.Cut(rest, part); !found {
				break
			}
		}
		if !found {
			return fmt.Errorf("Check says %q, want %q in it", said, parts)
		}
		return nil
	})
}

func TestFindsNSQDByLookupd(t *testing.T) {
	one, two := nsqtest.StartLookupd(t), nsqtest.StartLookupd(t)
	between := nsqtest.NewProxy(t, two.HTTPAddr())
	a := discover(t, map[string]string{"NSQ_LOOKUPD_ADDRS": one.HTTPAddr() + ", " + between.Addr()})
	h := &fakeHost{}
	start(t, a, h)
	wantCheck(t, a, "no nsqd is known for the topic logs: nsqlookupd knows none yet")

	both := func(o *nsqd.Options) { one.Register(o); two.Register(o) }
	first := nsqtest.Start(t, both)
	first.Publish(topic, numbered(0, 1, 0)...)
	testwait.Until(t, "the first is found", func() bool { return h.count() == 1 })
	second := nsqtest.Start(t, both)
	second.Publish(topic, numbered(1, 1, 0)...)
	testwait.Until(t, "the second is found", func() bool { return h.count() == 2 })
	for _, s := range []*nsqtest.Server{first, second} {
		if n := len(s.Channel(topic, channel).Clients); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	}
	if err := a.Check(t.Context()); err != nil {
		t.Error(err)
	}

	// One nsqlookupd suffices, and what the other said before stays valid.
	one.Stop()
	third := nsqtest.Start(t, two.Register)
	third.Publish(topic, numbered(2, 1, 0)...)
	testwait.Until(t, "the third is found", func() bool { return h.count() == 3 })
	if err := a.Check(t.Context()); err != nil {
		t.Error(err)
	}

	// Without any nsqlookupd, the plugin uses what it knows.
	between.Freeze()
	third.Kill()
	wantCheck(t, a, "1 of 3 nsqd is away: not connected to nsqd at "+third.TCPAddr()+": ")
	third.Restart()
	third.Publish(topic, numbered(3, 1, 0)...)
	testwait.Until(t, "the third is connected again", func() bool { return h.count() == 4 })
}

func TestForgetsAnNSQDThatIsGone(t *testing.T) {
	l := nsqtest.StartLookupd(t)
	a := discover(t, map[string]string{"NSQ_LOOKUPD_ADDRS": l.HTTPAddr()})
	h := &fakeHost{}
	start(t, a, h)
	stays, goes := nsqtest.Start(t, l.Register), nsqtest.Start(t, l.Register)
	stays.Publish(topic, numbered(0, 1, 0)...)
	goes.Publish(topic, numbered(1, 1, 0)...)
	testwait.Until(t, "both are found", func() bool { return h.count() == 2 })
	goes.Stop() // nsqlookupd notices that
	// Check names an nsqd that is known and not connected.
	one := func() bool { return metricstest.Of(t, a)["connections"] == 1 && a.Check(t.Context()) == nil }
	testwait.Until(t, "it is forgotten", one)
	// A restarted nsqlookupd knows nothing for a while. The plugin keeps a working connection.
	l.Restart()
	// Only the plugin itself knows when it has asked.
	testwait.Until(t, "it has been asked", func() bool { return a.pool.lookup.reason() != nil && one() })
	stays.Publish(topic, numbered(2, 1, 0)...)
	testwait.Until(t, "it is still consumed", func() bool { return h.count() == 3 })
}

func TestLookupdAndNSQDAddressesTogether(t *testing.T) {
	l := nsqtest.StartLookupd(t)
	known, hidden := nsqtest.Start(t, l.Register), nsqtest.Start(t)
	a := discover(t, map[string]string{"NSQ_LOOKUPD_ADDRS": l.HTTPAddr(), "NSQ_NSQD_ADDRS": hidden.TCPAddr()})
	h := &fakeHost{}
	start(t, a, h)
	known.Publish(topic, numbered(0, 1, 0)...)
	hidden.Publish(topic, numbered(1, 1, 0)...)
	testwait.Until(t, "both are found", func() bool { return h.count() == 2 })
}

func TestCheckSaysWhyNoNSQDIsKnown(t *testing.T) {
	l := nsqtest.StartLookupd(t)
	tcp := l.TCPAddr()
	s := nsqtest.Start(t)
	for name, c := range map[string]struct {
		addr string
		want []string
	}{
		"TCP port of nsqlookupd": {tcp, []string{"nsqlookupd at " + tcp + ": this is no HTTP port; nsqlookupd's is 4161 by default"}},
		"HTTP port of nsqd":      {s.HTTPAddr(), []string{"nsqlookupd at " + s.HTTPAddr() + ": status 404: "}},
		"nothing there":          {"127.0.0.1:1", []string{"nsqlookupd at 127.0.0.1:1: dial tcp 127.0.0.1:1: ", "refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := discover(t, map[string]string{"NSQ_LOOKUPD_ADDRS": c.addr})
			start(t, a, &fakeHost{})
			wantCheck(t, a, append([]string{"no nsqd is known for the topic logs: "}, c.want...)...)
		})
	}
}

func TestParseLookup(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   []address
		err    string
	}{
		"two":           {200, `{"channels":[],"producers":[{"broadcast_address":"a","tcp_port":4150},{"broadcast_address":"::1","tcp_port":1,"http_port":2}]}`, []address{{"a:4150", ""}, {"[::1]:1", "[::1]:2"}}, ""},
		"odd HTTP port": {200, `{"producers":[{"broadcast_address":"a","tcp_port":1,"http_port":-1},{"broadcast_address":"b","tcp_port":1,"http_port":70000}]}`, []address{{"a:1", ""}, {"b:1", ""}}, ""},
		"none":          {200, `{"channels":[],"producers":[]}`, nil, ""},
		"no topic":      {404, `{"message":"TOPIC_NOT_FOUND"}`, nil, ""},
		"no topic, old": {500, `{"status_code":500,"status_txt":"TOPIC_NOT_FOUND","data":null}`, nil, ""},
		"no producers":  {200, `{"channels":[]}`, nil, `its answer to /lookup is not nsqlookupd's: it has no producers: {"channels":[]}`},
		"another JSON":  {200, `{"status":"UP"}`, nil, "its answer to /lookup is not nsqlookupd's: it has no producers"},
		"another 404":   {404, `{"message":"NOT_FOUND"}`, nil, `status 404: {"message":"NOT_FOUND"}`},
		"other server":  {200, "<html>\n", nil, "its answer to /lookup is not nsqlookupd's: "},
		"no host":       {200, `{"producers":[{"broadcast_address":"","tcp_port":4150}]}`, nil, `it names an nsqd at ":4150"`},
		"bad port":      {200, `{"producers":[{"broadcast_address":"a","tcp_port":70000}]}`, nil, `it names an nsqd at "a:70000"`},
		"error, 2 line": {500, "a\nb", nil, "status 500: a b"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseLookup(c.status, []byte(c.body))
			if !slices.Equal(got, c.want) || (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func FuzzParseLookup(f *testing.F) {
	f.Add([]byte(`{"producers":[{"broadcast_address":"a","tcp_port":4150}]}`))
	f.Add([]byte(`{"message":"TOPIC_NOT_FOUND"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseLookup(http.StatusOK, body)
		for _, addr := range got {
			if !isAddr(addr.tcp) || addr.http != "" && !isAddr(addr.http) {
				t.Errorf("address %+v", addr)
			}
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%q is no line", err)
		}
	})
}
