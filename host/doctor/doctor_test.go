package doctor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/host"
	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// examiner returns a doctor without plugins, and with the settings that they would have declared.
func examiner(env, settings map[string]string) *doctor {
	return &doctor{
		Report:   &Report{},
		lookup:   func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		likely:   func(string, []string) string { return "" },
		host:     host.Options{StorageAdapter: "redis", AggregatorType: "nsq", ListenAddr: ":8088"},
		logger:   &loggerView{},
		settings: settings,

		hopTimeout:  20 * HopTimeout, // a busy machine starts a plugin slowly
		secretNames: map[sdk.Kind][]string{},
		foreign:     map[sdk.Kind][]string{},
	}
}

// last returns the newest finding.
func (r *Report) last() Finding {
	if len(r.Findings) == 0 {
		return Finding{}
	}
	return r.Findings[len(r.Findings)-1]
}

// pretend serves the answers of a logger.
func pretend(t *testing.T, answers map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, ok := answers[r.URL.Path]; ok {
			_, _ = fmt.Fprint(w, body)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// readyz returns an answer with the two plugins' states, which began since seconds ago.
func readyz(storage, aggregator string, since int, restarts int) string {
	at := time.Now().Add(-time.Duration(since) * time.Second).Format(time.RFC3339)
	return fmt.Sprintf(`{"ready":true,"plugins":[{"kind":"storage","name":"redis","state":%q,"reason":"so it is","since":%q,"restarts":%d},
		{"kind":"aggregator","name":"nsq","state":%q,"reason":"far away","since":%q}]}`, storage, at, restarts, aggregator, at)
}

func TestWhatTheLoggerSays(t *testing.T) {
	for name, tc := range map[string]struct {
		answer  string
		status  Status
		culprit string
	}{
		"well":               {readyz("ready", "ready", 3600, 0), OK, ""},
		"restarted long ago": {readyz("ready", "ready", 3600, 7), OK, ""},
		"looping":            {readyz("ready", "ready", 5, 3), Fail, "the storage plugin redis ends again and again"},
		"backing off":        {readyz("backing off", "ready", 5, 1), Fail, "the storage plugin redis does not run: so it is"},
		"failed":             {readyz("ready", "failed", 5, 0), Fail, "the aggregator plugin nsq does not run: far away"},
		"degraded storage":   {readyz("degraded", "ready", 5, 0), Fail, "the logger's storage does not serve: so it is"},
		"degraded queue":     {readyz("ready", "degraded", 5, 0), OK, ""}, // the hops of the queue tell why
		"something else":     {`<html>hello</html>`, Fail, "that is no logger"},
		"something in JSON":  {`{"status":"up"}`, Fail, "that is no logger"},
	} {
		t.Run(name, func(t *testing.T) {
			d := examiner(map[string]string{"LOGGER_URL": pretend(t, map[string]string{"/readyz": tc.answer})}, nil)
			d.askLogger(t.Context())
			if f := d.last(); f.Hop != hopLogger || f.Status != tc.status || f.Culprit != tc.culprit {
				t.Errorf("got %+v, want %s %s", f, tc.status, tc.culprit)
			}
		})
	}
}

// TestLoggerURLWithTheAPIsPath: /v1 at the end of the URL makes no difference, as for the other
// commands.
func TestLoggerURLWithTheAPIsPath(t *testing.T) {
	at := pretend(t, map[string]string{"/readyz": readyz("ready", "ready", 3600, 0)})
	for _, end := range []string{"", "/", "/v1", "/v1/"} {
		d := examiner(map[string]string{"LOGGER_URL": at + end}, nil)
		d.askLogger(t.Context())
		if f := d.last(); f.Hop != hopLogger || f.Status != OK {
			t.Errorf("%s: %+v", end, f)
		}
	}
}

func TestWhatBecameOfMessages(t *testing.T) {
	const metrics = `# TYPE logger_messages_received_total counter
logger_messages_received_total %d
# TYPE logger_messages_stored_total counter
logger_messages_stored_total %d
# TYPE logger_messages_duplicate_total counter
logger_messages_duplicate_total %d
# TYPE logger_messages_rejected_total counter
logger_messages_rejected_total{reason="malformed"} %d
logger_messages_rejected_total{reason="no_app"} %d
logger_messages_rejected_total{reason="not_selected"} %d
`
	for _, tc := range []struct {
		received, stored, copies, malformed, noApp, leftOut int
		status                                              Status
		seen, culprit                                       string
	}{
		{10, 0, 0, 1, 9, 0, Fail, "10 of 10: 9 no_app, 1 malformed", "all messages are rejected, for being no_app"},
		{10, 8, 0, 1, 1, 0, Warning, "2 of 10: 1 malformed, 1 no_app (Let the collectors", ""},
		{2, 0, 0, 1, 0, 0, Warning, "1 of 2: 1 malformed (Let the collectors", ""}, // the other message waits
		{3, 0, 1, 1, 1, 0, Fail, "2 of 3: 1 malformed, 1 no_app", "all messages are rejected, for being malformed"},
		{10, 8, 0, 1, 0, 1, Warning, "1 of 9: 1 malformed; 1 more are not selected (Let the collectors", ""},
		{10, 1, 0, 0, 0, 9, OK, "none; 9 are not selected", ""},
		{10, 0, 1, 0, 0, 9, Fail, "9 of 10 are not selected", "the settings leave all messages out"},
		{10, 0, 0, 1, 0, 9, Fail, "1 of 1: 1 malformed", "all messages are rejected, for being malformed"},
		{10, 10, 0, 0, 0, 0, OK, "none", ""},
	} {
		d := examiner(map[string]string{"LOGGER_URL": pretend(t, map[string]string{
			"/readyz": readyz("ready", "ready", 5, 0), "/metrics": fmt.Sprintf(metrics, tc.received, tc.stored, tc.copies, tc.malformed, tc.noApp, tc.leftOut),
		})}, nil)
		d.askLogger(t.Context())
		d.messages()
		if f := d.last(); f.Hop != hopRejects || f.Status != tc.status || f.Culprit != tc.culprit || !strings.HasPrefix(f.Seen, tc.seen) {
			t.Errorf("got %+v, want %+v", f, tc)
		}
	}
}

func TestLookupd(t *testing.T) {
	lookupd := nsqtest.StartLookupd(t)
	d := examiner(nil, map[string]string{"NSQ_LOOKUPD_ADDRS": lookupd.HTTPAddr() + ",127.0.0.1:1", "NSQ_TOPIC": "logs"})
	if _, _ = d.lookupd(t.Context(), "logs"); d.last().Culprit != "no nsqd has registered with nsqlookupd" {
		t.Errorf("got %+v", d.last())
	}
	queue := nsqtest.Start(t, lookupd.Register)
	testwait.Within(t, 20*time.Second, "nsqlookupd has the nsqd", func() bool {
		_, all, err := producers(t.Context(), lookupd.HTTPAddr(), "logs")
		return err == nil && len(all) == 1
	})
	if _, _ = d.lookupd(t.Context(), "logs"); d.last().Culprit != `no nsqd has the topic "logs"` {
		t.Errorf("got %+v", d.last())
	}
	queue.Publish("logs", []byte("x"))
	testwait.Within(t, 20*time.Second, "nsqlookupd has the topic", func() bool {
		having, _, err := producers(t.Context(), lookupd.HTTPAddr(), "logs")
		return err == nil && len(having) == 1
	})
	nsqds, found := d.lookupd(t.Context(), "logs")
	if f := d.last(); f.Status != Warning || !strings.Contains(f.Seen, "nothing listens at 127.0.0.1:1") {
		t.Errorf("got %+v", f)
	}
	if len(nsqds) != 1 || nsqds[0] != queue.TCPAddr() || !d.nsqd(t.Context(), nsqds) {
		t.Errorf("nsqd %q: %+v", nsqds, d.last())
	}
	topics, ok := d.stats(t.Context(), nsqds, found) // by the HTTP address that nsqlookupd knows
	if !ok || len(topics) != 1 || topics[0].Messages != 1 {
		t.Errorf("%+v: %+v", topics, d.last())
	}
}

// TestNSQBefore1 has the answers of nsqd and nsqlookupd 0.3.8, only some of which depend on the
// Accept header.
func TestNSQBefore1(t *testing.T) {
	answers := map[string]string{
		"/info":               `{"status_code":200,"status_txt":"OK","data":{"version":"0.3.8","tcp_port":4150}}`,
		"/stats":              `{"status_code":200,"status_txt":"OK","data":{"topics":[{"topic_name":"logs","message_count":7}]}}`,
		"/nodes":              `{"status_code":200,"status_txt":"OK","data":{"producers":[{"broadcast_address":"a","tcp_port":4150}]}}`,
		"/lookup?topic=logs":  `{"status_code":200,"status_txt":"OK","data":{"producers":[{"broadcast_address":"a","tcp_port":4150}]}}`,
		"/lookup?topic=other": `{"status_code":500,"status_txt":"TOPIC_NOT_FOUND","data":null}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "application/vnd.nsq; version=1.0" {
			t.Errorf("%s accepts %q", r.URL, r.Header.Get("Accept"))
		}
		body := cmp.Or(answers[r.URL.RequestURI()], answers[r.URL.Path])
		if strings.Contains(body, `"status_code":500`) {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	if topics, err := stats(t.Context(), addr, "4150"); err != nil || len(topics) != 1 || topics[0].Messages != 7 {
		t.Errorf("stats: %+v, %v", topics, err)
	}
	for topic, want := range map[string]int{"logs": 1, "other": 0} {
		if having, all, err := producers(t.Context(), addr, topic); err != nil || len(having) != want || len(all) != 1 {
			t.Errorf("%s: %+v, %+v, %v", topic, having, all, err)
		}
	}
	answers["/nodes"] = `{"status_code":200,"status_txt":"OK","data":null}`
	if _, _, err := producers(t.Context(), addr, "logs"); !errors.Is(err, errNoProducers) {
		t.Errorf("without producers: %v", err)
	}
}

// TestAnotherNSQDsStatsAreNotBelieved if port 4151 was only guessed.
func TestAnotherNSQDsStatsAreNotBelieved(t *testing.T) {
	queue := nsqtest.Start(t)
	_, port, _ := net.SplitHostPort(queue.TCPAddr())
	if _, err := stats(t.Context(), queue.HTTPAddr(), port); err != nil {
		t.Error(err)
	}
	if _, err := stats(t.Context(), queue.HTTPAddr(), "4150"); err == nil || !strings.Contains(err.Error(), "it belongs to an nsqd with the TCP port "+port) {
		t.Errorf("got %v", err)
	}
}

// TestSilentServersAreBounded meets a server that accepts a connection and sends nothing.
func TestSilentServersAreBounded(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	addr := silent.Addr().String()
	d := examiner(map[string]string{"LOGGER_URL": addr, nsqdHTTPEnv: addr}, map[string]string{"NSQ_LOOKUPD_ADDRS": addr + "," + addr})
	for hop, look := range map[string]func(context.Context){
		hopLogger:  d.askLogger,
		hopLookupd: func(ctx context.Context) { d.lookupd(ctx, "logs") },
		hopNSQD:    func(ctx context.Context) { d.nsqd(ctx, []string{addr, addr}) },
		hopTopic:   func(ctx context.Context) { d.stats(ctx, []string{addr, addr}, nil) },
	} {
		t.Run(hop, func(t *testing.T) {
			began := time.Now()
			look(t.Context())
			if took := time.Since(began); took > HopTimeout+time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	for _, hop := range []string{hopLogger, hopLookupd, hopNSQD} {
		if !d.failed(hop) {
			t.Errorf("%s did not fail: %+v", hop, d.Findings)
		}
	}
	if !strings.Contains(fmt.Sprint(d.Findings), "does not answer (a firewall") {
		t.Errorf("got %+v", d.Findings)
	}
}

func TestNothingIsPrintedThatShouldNotBe(t *testing.T) {
	r := &Report{}
	r.keepSecret("hunter22")
	r.keepSecret("")
	r.fail("x", "seen hunter22\x1b[31m", "culprit\nhunter22", "advice \xff hunter22")
	r.conclude("fine")
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const want = "FAIL     x                  seen ******** [31m => culprit ********. advice \uFFFD ********\nverdict: x: culprit ********. advice \uFFFD ********\n"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}

func TestTheFirstFailureIsTheVerdict(t *testing.T) {
	r := &Report{}
	r.ok("a", "well")
	if r.conclude("3 lines"); !r.Healthy || r.Verdict != "nothing is broken: 3 lines" {
		t.Errorf("got %q", r.Verdict)
	}
	r.warn("b", "hm")
	if r.conclude("3 lines"); !r.Healthy || r.Verdict != "nothing is broken as far as can be seen (1 not ok, see above): 3 lines" {
		t.Errorf("got %q", r.Verdict)
	}
	r.fail("c", "", "the cause", "Mend it")
	r.fail("d", "", "the effect", "Mend c")
	if r.conclude("3 lines"); r.Healthy || r.Verdict != "c: the cause. Mend it (1 more failed, which may follow from it)" {
		t.Errorf("got %q", r.Verdict)
	}
}

func frame(kind uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))
	return append(binary.BigEndian.AppendUint32(b, kind), body...)
}

func TestReadIdentity(t *testing.T) {
	for name, tc := range map[string]struct {
		answer []byte
		want   error
		id     identity
	}{
		"nsqd":       {frame(0, `{"version":"1.3.0","auth_required":true}`), nil, identity{Version: "1.3.0", AuthRequired: true}},
		"HTTP":       {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), errHTTP, identity{}},
		"nothing":    {nil, errNotNSQ, identity{}},
		"a word":     {[]byte("hey"), errNotNSQ, identity{}},
		"no JSON":    {frame(0, "OK"), errNotNSQ, identity{}},
		"huge":       {[]byte("\xff\xff\xff\xff\x00\x00\x00\x00"), errNotNSQ, identity{}},
		"Redis":      {[]byte("-ERR unknown command\r\n"), errNotNSQ, identity{}},
		"tiny frame": {[]byte("\x00\x00\x00\x01\x00\x00\x00\x00"), errNotNSQ, identity{}},
	} {
		id, err := readIdentity(bytes.NewReader(tc.answer))
		if !errors.Is(err, tc.want) || id != tc.id {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	if _, err := readIdentity(bytes.NewReader(frame(1, "E_BAD_BODY"))); err == nil || !strings.Contains(err.Error(), "E_BAD_BODY") {
		t.Errorf("got %v", err)
	}
}

func FuzzReadIdentity(f *testing.F) {
	f.Add(frame(0, `{"version":"1.3.0"}`))
	f.Add([]byte("HTTP/1.1 200 OK"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if id, err := readIdentity(bytes.NewReader(answer)); err != nil && id != (identity{}) && !errors.Is(err, errNotNSQ) {
			t.Errorf("%+v with %v", id, err)
		}
	})
}
