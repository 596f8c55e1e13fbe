package v1

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// found returns the numbers of the lines in an answer as text.
func found(text string) string {
	var all []string
	for _, m := range regexp.MustCompile(`line (\d+)`).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return strings.Join(all, " ")
}

func TestFilters(t *testing.T) {
	for _, pages := range []int{0, 7} {
		r := newRig(t)
		r.storage.Page = pages
		r.storage.Add("foo", numbered(40)...)
		for query, want := range map[string]string{
			"lines=3":                                          "38 39 40",
			"lines=0":                                          "",
			"lines=2&process=worker":                           "36 39",
			"lines=3&process=worker,web":                       "37 38 39",
			"lines=3&process=worker&process=web":               "37 38 39",
			"lines=-1&source=controller":                       "10 20 30 40",
			"lines=1&source=controller":                        "40",
			"source=controller&include=2":                      "20",
			"lines=-1&include=line+1.&exclude=[5]":             "10 11 12 13 14 16 17 18 19",
			"lines=-1&include=line+7$&include=line+8$":         "7 8",
			"lines=2&stream=stderr":                            "36 39",
			"lines=2&level=trace":                              "35 40",
			"level=warn":                                       "5 15 25 35",
			"level=error":                                      "",
			"lines=2&pod=nzf60":                                "37 38",
			"lines=2&pod=foo-worker-845861952-abcde":           "36 39",
			"lines=2&pod=abc":                                  "",
			"lines=2&release=v3":                               "",
			"since=2026-03-04T05:06:45%2B02:00":                "38 39 40",
			"until=2026-03-04T03:06:09Z":                       "1 2",
			"lines=1&until=2026-03-04T03:06:09Z":               "2",
			"since=1h":                                         "",
			"after=0000000000000007-37":                        "38 39 40",
			"after=0000000000000007-10&lines=2":                "11 12",
			"after=0000000000000007-10&lines=2&process=worker": "12 15",
			"lines=99999999999":                                "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40",
		} {
			resp, body := r.ask(http.MethodGet, "/v1/apps/foo/logs?"+query, "")
			if resp.StatusCode != http.StatusOK || found(body) != want {
				t.Errorf("pages of %d, %s: %d, lines %s, want %s", pages, query, resp.StatusCode, found(body), want)
			}
		}
	}
}

// TestFiltersRunBeforeTheLimit even if matches are far back.
func TestFiltersRunBeforeTheLimit(t *testing.T) {
	r := newRig(t)
	entries := numbered(9_000)
	entries[9].Message, entries[6_345].Message = "needle line 10", "needle line 6346"
	r.storage.Add("foo", entries...)
	for lines, want := range map[int]string{1: "6346", 2: "10 6346", 3: "10 6346"} {
		if _, body := r.ask(http.MethodGet, fmt.Sprintf("/v1/apps/foo/logs?include=needle&lines=%d", lines), ""); found(body) != want {
			t.Errorf("lines=%d: %s, want %s", lines, found(body), want)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(3)...)
	for _, tc := range []struct {
		method, path, body string
		status             int
		code, says         string
	}{
		{"GET", "/v1/apps/foo/logs?processes=web", "", 400, "bad_request", "accepted: lines, since"},
		{"GET", "/v1/apps/foo/logs?wait=true", "", 400, "bad_request", "wait"},
		{"GET", "/v1/apps?x=1", "", 400, "bad_request", "x"},
		{"GET", "/v1/apps/foo/logs?lines=many", "", 400, "bad_request", "lines"},
		{"GET", "/v1/apps/foo/logs?lines=1&lines=2", "", 400, "bad_request", "lines"},
		{"GET", "/v1/apps/foo/logs?since=yesterday", "", 400, "bad_request", "since"},
		{"GET", "/v1/apps/foo/logs?since=-5m", "", 400, "bad_request", "since"},
		{"GET", "/v1/apps/foo/logs?include=(", "", 400, "bad_request", "include"},
		{"GET", "/v1/apps/foo/logs?include=" + strings.Repeat("a", 1001), "", 400, "too_expensive", "include"},
		{"GET", "/v1/apps/foo/logs?source=kernel", "", 400, "bad_request", "source"},
		{"GET", "/v1/apps/foo/logs?stream=stdin", "", 400, "bad_request", "stream"},
		{"GET", "/v1/apps/foo/logs?level=unknown", "", 400, "bad_request", "level"},
		{"GET", "/v1/apps/foo/logs?level=warn&level=info", "", 400, "bad_request", "level"},
		{"GET", "/v1/apps/foo/logs?format=xml", "", 400, "bad_request", "format"},
		{"GET", "/v1/apps/foo/tail?format=json", "", 400, "bad_request", "format"},
		{"GET", "/v1/apps/foo/logs?after=7", "", 400, "bad_request", "after"},
		{"GET", "/v1/apps/foo/tail?wait=perhaps", "", 400, "bad_request", "wait"},
		{"GET", "/v1/apps/-foo/logs", "", 400, "bad_request", "app"},
		{"GET", "/v1/apps/a%2Fb/logs", "", 400, "bad_request", "app"},
		{"GET", "/v1/apps/nobody/logs", "", 404, "app_unknown", "nobody"},
		{"GET", "/v1/apps/nobody", "", 404, "app_unknown", "nobody"},
		{"GET", "/v1/apps/nobody/tail?wait=false", "", 404, "app_unknown", "nobody"},
		{"GET", "/v1/nothing", "", 404, "not_found", "openapi.yaml"},
		{"PUT", "/v1/apps/foo/logs", "", 405, "method_not_allowed", ""},
		{"GET", "/v1/apps/foo/sessions", "", 405, "method_not_allowed", ""},
		{"POST", "/v1/apps/foo/sessions", `{"expires_in":"25h"}`, 400, "bad_request", "expires_in"},
		{"POST", "/v1/apps/foo/sessions", `{"expires":"1h"}`, 400, "bad_request", "expires"},
		{"POST", "/v1/apps/foo/sessions", `{"filters":{"after":"x"}}`, 400, "bad_request", "after"},
		{"POST", "/v1/apps/foo/sessions", `{"filters":{"lines":{}}}`, 400, "bad_request", "lines"},
		{"POST", "/v1/apps/foo/sessions", `[`, 400, "bad_request", "body"},
		{"POST", "/v1/apps/foo/sessions", `{"filters":{"include":"` + strings.Repeat("x", 20_000) + `"}}`, 400, "bad_request", "body"},
		{"GET", "/v1/sessions/x.y/tail", "", 401, "unauthorized", ""},
	} {
		resp, body := r.ask(tc.method, tc.path, tc.body)
		if resp.StatusCode != tc.status || code(body) != tc.code || !strings.Contains(body, tc.says) {
			t.Errorf("%s %.60s: %d %.200s, want %d %s that says %s", tc.method, tc.path, resp.StatusCode, body, tc.status, tc.code, tc.says)
		}
		if allow := strings.Join(resp.Header.Values("Allow"), " "); tc.status == 405 && allow != "GET HEAD DELETE" && allow != "POST" {
			t.Errorf("%s %s: Allow %q", tc.method, tc.path, allow)
		}
	}
	r.storage.Fail(fmt.Errorf("storage plugin redis is starting\nagain: %w", sdk.ErrUnavailable))
	for _, path := range []string{"/v1/apps", "/v1/apps/foo/logs", "/v1/apps/foo/tail"} {
		if resp, body := r.ask(http.MethodGet, path, ""); resp.StatusCode != 503 || code(body) != "storage_away" || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

func TestFormats(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(10)[8:]...)
	r.storage.Add("foo", sdk.Entry{Time: epochStart, Message: "a \"b\"\n\x1b[31m\u2028\u2029\u0085…\u00a0", CutBytes: 7, Level: sdk.LevelWarn})
	r.storage.Keep("foo", 2)
	const controller = `{"type":"entry","cursor":"0000000000000007-2","time":"2026-03-04T05:06:17+02:00","published":"2026-03-04T03:06:16.001000001Z","source":"controller","level":"info","message":"INFO line 10"}`
	strange := `{"type":"entry","cursor":"0000000000000007-3","time":"2026-03-04T05:06:07+02:00","published":"2026-03-04T03:06:16.001000002Z","source":"unknown","level":"warn","message":"a \"b\"\n\u001b[31m\u2028\u2029\u0085…` + "\u00a0" + `","cut_bytes":7}`
	gap := `{"type":"gap","from":"","to":"0000000000000007-1","count":1,"exact":true,"reason":"evicted"}`
	for _, tc := range []struct{ accept, query, kind, want string }{
		{"", "", "text/plain; charset=utf-8", "foo: INFO line 10\nfoo: a \"b\"\n\x1b[31m\u2028\u2029\u0085…\u00a0 [cut: 7 more bytes]\n"},
		{"*/*", "after=ffffffffffffffff-0", "text/plain; charset=utf-8", "--- 1 lines are missing here: evicted ---\nfoo: INFO line 10\nfoo: a \"b\"\n\x1b[31m\u2028\u2029\u0085…\u00a0 [cut: 7 more bytes]\n"},
		{"application/x-ndjson", "", "application/x-ndjson", controller + "\n" + strange + "\n"},
		{"text/html, application/x-ndjson;q=0.5", "", "application/x-ndjson", controller + "\n" + strange + "\n"},
		{"", "format=ndjson&after=ffffffffffffffff-0", "application/x-ndjson", gap + "\n" + controller + "\n" + strange + "\n"},
		{"text/event-stream", "lines=1", "text/event-stream; charset=utf-8", "data: " + strange + "\nid: 0000000000000007-3\n\n"},
		{"application/json", "after=ffffffffffffffff-0", "application/json", `{"app":"foo","entries":[` + controller + "," + strange + `],"cursor":"0000000000000007-3","gaps":[` + gap + "]}\n"},
		{"application/json", "lines=0", "application/json", `{"app":"foo","entries":[],"cursor":"0000000000000007-3","gaps":[]}` + "\n"},
	} {
		resp, body := r.ask(http.MethodGet, "/v1/apps/foo/logs?"+tc.query, "", "Accept", tc.accept)
		if resp.Header.Get("Content-Type") != tc.kind || short(body) != tc.want {
			t.Errorf("%q %s: %s\n got %q\nwant %q", tc.accept, tc.query, resp.Header.Get("Content-Type"), body, tc.want)
		}
	}
}

func TestTail(t *testing.T) {
	r := newRig(t)
	r.api.heartbeat = 200 * time.Millisecond
	early := r.tail("/v1/apps/foo/tail?format=ndjson")
	if rec := early.record(); rec["type"] != "heartbeat" || rec["cursor"] != "ffffffffffffffff-0" {
		t.Fatalf("at first came %v", rec)
	}
	r.storage.Add("foo", numbered(3)...)
	entries := func(l *lines, from, to int) {
		t.Helper()
		for i := from; i <= to; {
			switch rec := l.record(); rec["type"] {
			case "entry":
				if rec["message"] != fmt.Sprintf("line %d", i) || rec["cursor"] != fmt.Sprintf("0000000000000007-%d", i) {
					t.Fatalf("got %v, want line %d", rec, i)
				}
				i++
			case "heartbeat":
			default:
				t.Fatalf("got %v, want line %d", rec, i)
			}
		}
	}
	entries(early, 1, 3)
	late := r.tail("/v1/apps/foo/tail?lines=1", "Accept", "text/event-stream")
	if h := late.resp.Header; h.Get("X-Accel-Buffering") != "no" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", h)
	}
	if line := late.line(); !strings.HasPrefix(line, `data: {"type":"entry","cursor":"0000000000000007-3"`) {
		t.Errorf("got %s", line)
	}
	late.want("id: 0000000000000007-3", "", ": heartbeat", "id: 0000000000000007-3", "", ": heartbeat")
	r.storage.Add("foo", numbered(5)[3:]...)
	entries(early, 4, 5)
	resumed := r.tail("/v1/apps/foo/tail?lines=1&format=ndjson&after=0000000000000007-4", "Last-Event-ID", "0000000000000007-2")
	entries(resumed, 3, 5)
	_ = resumed.resp.Body.Close()
	testwait.Within(t, time.Second, "the follower that left is gone", func() bool { return r.followers() <= 2 })
	resumed = r.tail("/v1/apps/foo/tail?format=ndjson&after=0000000000000007-4&lastEventId=0000000000000007-2")
	entries(resumed, 3, 5)
	if resp, body := r.ask(http.MethodGet, "/v1/apps/foo/tail", ""); resp.StatusCode != 503 || code(body) != "too_many_followers" {
		t.Errorf("a fourth of three: %d %s", resp.StatusCode, body)
	}
	_ = late.resp.Body.Close()
	var text *lines
	testwait.Within(t, time.Second, "a follower takes the place of the one that left", func() bool {
		text = r.tail("/v1/apps/foo/tail?process=worker&lines=1")
		return text.resp.StatusCode == http.StatusOK
	})
	text.want("foo: line 3")
	r.storage.Add("foo", numbered(6)[5:]...)
	text.want("foo: line 6")
	entries(early, 6, 6)

	r.stopHub()
	text.want("--- the tail ends here: stopping ---")
	for {
		rec := early.record()
		if rec["type"] == "end" {
			if rec["reason"] != "stopping" || rec["cursor"] != "0000000000000007-6" {
				t.Errorf("the end is %v", rec)
			}
			break
		}
	}
	if resp, body := r.ask(http.MethodGet, "/v1/apps/foo/tail", ""); resp.StatusCode != 503 || code(body) != "stopping" {
		t.Errorf("a new tail: %d %s", resp.StatusCode, body)
	}
}

func TestTailUntil(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(5)...)
	resp, body := r.ask(http.MethodGet, "/v1/apps/foo/tail?lines=-1&until="+strings.ReplaceAll(epochStart.Add(3*time.Second).Format(time.RFC3339), "+", "%2B"), "")
	if resp.StatusCode != 200 || found(body) != "1 2 3" || !strings.HasSuffix(body, "--- the tail ends here: until ---\n") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestStuckClientIsLetGo(t *testing.T) {
	r := newRig(t)
	r.api.writeTimeout = 100 * time.Millisecond
	big := sdk.Entry{Time: epochStart, Message: strings.Repeat("x", 1<<20)}
	r.storage.Add("foo", big)
	l := r.tail("/v1/apps/foo/tail")
	if l.resp.StatusCode != http.StatusOK {
		t.Fatal(l.resp.StatusCode)
	}
	n := 0
	testwait.Within(t, 20*time.Second, "a client that does not read is let go", func() bool {
		r.storage.Add("foo", big) // in the end, more than the connection's buffers hold
		n++
		return r.followers() == 0 && n > 11
	})
}

// followers returns how many followers there are. It adds some until one is refused.
func (r *rig) followers() int {
	var all []interface{ Close() }
	defer func() {
		for _, f := range all {
			f.Close()
		}
	}()
	for {
		f, err := r.hub.Follow("x", read.Place{})
		if err != nil {
			return 3 - len(all)
		}
		all = append(all, f)
	}
}

func TestSessions(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tokens")
	if err := os.WriteFile(file, []byte("# old\nfirst-token\n\n second-token \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := access.Open(file, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	testrun.Start(t, tokens.Run)
	r := newRig(t, func(o *Options) { o.Guard.Tokens = tokens })
	r.storage.Add("foo", numbered(9)...)
	for header, want := range map[string]int{
		"": 401, "Bearer first-token": 200, "bearer second-token": 200, "Bearer # old": 401, "Bearer first-token2": 401, "Bearer": 401,
		"Bearer ": 401, "Basic first-token": 401,
	} {
		resp, body := r.ask(http.MethodGet, "/v1/apps/foo/logs", "", "Authorization", header)
		if resp.StatusCode != want || want == 401 && (code(body) != "unauthorized" || resp.Header.Get("WWW-Authenticate") == "") {
			t.Errorf("%q: %d %s", header, resp.StatusCode, body)
		}
	}
	for _, path := range []string{"/v1/apps", "/v1/apps/foo", "/v1/apps/foo/tail"} {
		if resp, _ := r.ask(http.MethodGet, path, ""); resp.StatusCode != 401 {
			t.Errorf("%s without a token: %d", path, resp.StatusCode)
		}
	}
	for _, method := range []string{http.MethodDelete, http.MethodPost} {
		path := map[string]string{http.MethodDelete: "/v1/apps/foo/logs", http.MethodPost: "/v1/apps/foo/sessions"}[method]
		if resp, _ := r.ask(method, path, ""); resp.StatusCode != 401 {
			t.Errorf("%s without a token: %d", method, resp.StatusCode)
		}
	}

	resp, body := r.ask(http.MethodPost, "/v1/apps/foo/sessions", `{"expires_in":"1h","filters":{"process":["worker"],"lines":2}}`, "Authorization", "Bearer first-token")
	path := regexp.MustCompile(`"url":"([^"]+)"`).FindStringSubmatch(body)
	if resp.StatusCode != http.StatusCreated || path == nil || !strings.Contains(body, `"expires_at":"`) {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	session := r.tail(path[1])
	session.want("foo: line 6", "foo: line 9")
	r.storage.Add("foo", numbered(12)[9:]...)
	session.want("foo: line 12")
	r.tail(path[1]+"?after=0000000000000007-5&format=text").want("foo: line 6", "foo: line 9", "foo: line 12")
	if resp, body := r.ask(http.MethodGet, path[1]+"?process=web", ""); resp.StatusCode != 400 {
		t.Errorf("another filter: %d %s", resp.StatusCode, body)
	}
	for name, token := range map[string]string{
		"changed": strings.Replace(path[1], "/sessions/e", "/sessions/f", 1), "cut": strings.TrimSuffix(path[1], "/tail")[:40] + "/tail",
		"unsigned": regexp.MustCompile(`\.[^/]+`).ReplaceAllString(path[1], "."),
	} {
		if resp, body := r.ask(http.MethodGet, token, ""); resp.StatusCode != 401 || code(body) != "unauthorized" {
			t.Errorf("a token that is %s: %d %s", name, resp.StatusCode, body)
		}
	}
	expired, err := r.api.opts.SessionKey.Sign(session0("foo", time.Now().Add(-time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	if resp, body := r.ask(http.MethodGet, "/v1/sessions/"+expired+"/tail", ""); resp.StatusCode != 401 || !strings.Contains(body, "expired") {
		t.Errorf("an expired session: %d %s", resp.StatusCode, body)
	}
	soon, _ := r.api.opts.SessionKey.Sign(session0("foo", time.Now().Add(2*time.Second)))
	if _, body := r.ask(http.MethodGet, "/v1/sessions/"+soon+"/tail", ""); !strings.HasSuffix(body, "--- the tail ends here: expired ---\n") {
		t.Errorf("a session that expires: %q", body)
	}
	if got := access.RedactPath(path[1]); strings.Contains(got, path[1][14:40]) || !strings.HasSuffix(got, "/tail") {
		t.Errorf("for the log: %s", got)
	}

	// Tokens are replaced while the host runs. A lasting answer ends when its token is removed.
	lasting := r.tail("/v1/apps/foo/tail?format=ndjson&lines=0", "Authorization", "Bearer first-token")
	if got := lasting.record(); got["type"] != "heartbeat" {
		t.Errorf("%v", got)
	}
	if err := os.WriteFile(file, []byte("third-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	testwait.Within(t, 10*time.Second, "the file is read again", func() bool {
		resp, _ := r.ask(http.MethodGet, "/v1/apps/foo/logs", "", "Authorization", "Bearer third-token")
		return resp.StatusCode == http.StatusOK
	})
	if resp, _ := r.ask(http.MethodGet, "/v1/apps/foo/logs", "", "Authorization", "Bearer first-token"); resp.StatusCode != 401 {
		t.Errorf("a token that is gone: %d", resp.StatusCode)
	}
	if got := lasting.record(); got["type"] != "end" || got["reason"] != "unauthorized" {
		t.Errorf("the tail of a token that is gone: %v", got)
	}
	r.storage.Add("foo", numbered(15)[12:]...)
	session.want("foo: line 15") // the session outlives the token that it was made with
	for _, bad := range []string{filepath.Join(dir, "missing"), dir} {
		if _, err := access.Open(bad, hclog.NewNullLogger()); err == nil {
			t.Errorf("%s is taken for tokens", bad)
		}
	}
	if err := os.WriteFile(file, []byte("# nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := access.Open(file, hclog.NewNullLogger()); err == nil {
		t.Error("a file without tokens is taken")
	}
}

func session0(app string, expires time.Time) access.Session {
	return access.Session{App: app, Expires: expires.Unix()}
}

func TestAppsAndBooks(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(9)...)
	r.storage.Keep("foo", 7)
	r.storage.Add("bar", numbered(3)...)
	_, body := r.ask(http.MethodGet, "/v1/apps", "")
	for _, want := range []string{
		`{"apps":[{"app":"bar","entries":3,"bytes":300,"oldest":"2026-03-04T03:06:08.001Z","newest":"2026-03-04T03:06:10.001Z","rates":{"lines_per_second":`,
		`"books":{"stored":9,"kept":7,"evicted":2}}],"totals":{"apps":2,"entries":10,"bytes":1000,"books":{"stored":12,"kept":10,"evicted":2,"deleted":0}}}`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	if _, body := r.ask(http.MethodGet, "/v1/apps/foo", ""); !strings.Contains(body, `"books":{"stored":9,"kept":7,"evicted":2}`) {
		t.Errorf("foo: %s", body)
	}
	for range 2 {
		if resp, body := r.ask(http.MethodDelete, "/v1/apps/foo/logs", ""); resp.StatusCode != http.StatusNoContent || body != "" {
			t.Errorf("delete: %d %s", resp.StatusCode, body)
		}
	}
	if resp, body := r.ask(http.MethodGet, "/v1/apps/foo/logs", ""); code(body) != "app_unknown" {
		t.Errorf("after the delete: %d %s", resp.StatusCode, body)
	}
}

func TestCORS(t *testing.T) {
	for _, tc := range []struct {
		origins []string
		want    string
	}{{nil, ""}, {[]string{"https://a.example"}, "https://a.example"}, {[]string{"https://b.example"}, ""}, {[]string{"*"}, "https://a.example"}} {
		r := newRig(t, func(o *Options) { o.Origins = tc.origins })
		resp, _ := r.ask(http.MethodGet, "/v1/apps", "", "Origin", "https://a.example")
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.origins, got, tc.want)
		}
		if exposed := strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "Retry-After"); exposed != (len(tc.origins) > 0) {
			t.Errorf("%q: exposed %q", tc.origins, resp.Header.Get("Access-Control-Expose-Headers"))
		}
		// A cache must not give one origin's answer to another.
		if varies := resp.Header.Get("Vary") == "Origin"; varies != (len(tc.origins) > 0) {
			t.Errorf("%q: Vary is %q", tc.origins, resp.Header.Get("Vary"))
		}
		resp, _ = r.ask(http.MethodOptions, "/v1/apps", "", "Origin", "https://a.example", "Access-Control-Request-Method", "GET")
		if len(tc.origins) > 0 && resp.StatusCode != http.StatusNoContent {
			t.Errorf("preflight: %d", resp.StatusCode)
		}
	}
}
