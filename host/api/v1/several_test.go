package v1

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/sdk"
)

// newSeveralRig has room for the followers of several apps.
func newSeveralRig(t *testing.T, followers int) *rig {
	t.Helper()
	return newRig(t, func(o *Options) {
		o.Hub = follow.New(follow.Options{
			Storage: o.Storage, Logger: hclog.NewNullLogger(), MaxFollowers: followers, BufferEntries: 10_000, BufferBytes: 1 << 20, ReadTimeout: time.Second,
		})
	})
}

// at returns an entry published at that second.
func at(second int, message string) sdk.Entry {
	moment := epochStart.Add(time.Duration(second) * time.Second)
	return sdk.Entry{Time: moment, Published: moment, Source: sdk.SourceApp, Process: "web", Release: "v2", Message: message}
}

func TestLogsOfSeveralApps(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", at(1, "one"), at(4, "four"))
	r.storage.Add("shop-a", at(2, "two"))
	r.storage.Add("shop-b", at(3, "three"), sdk.Entry{Time: epochStart, Published: at(5, "").Published, Source: sdk.SourceController, Message: "five"})
	r.storage.Add("other", at(6, "six"))

	_, text := r.ask("GET", "/v1/logs?app=foo&app=shop-*", "")
	want := "2026-03-04T05:06:08+02:00 foo[web.v2]: one\n2026-03-04T05:06:09+02:00 shop-a[web.v2]: two\n" +
		"2026-03-04T05:06:10+02:00 shop-b[web.v2]: three\n2026-03-04T05:06:11+02:00 foo[web.v2]: four\n2026-03-04T05:06:07+02:00 shop-b[controller]: five\n"
	if text != want {
		t.Errorf("got\n%s", text)
	}
	if _, text := r.ask("GET", "/v1/logs?app=foo,shop-*&lines=2", ""); text != strings.Join(strings.SplitAfter(want, "\n")[3:], "") {
		t.Errorf("two lines:\n%s", text)
	}
	if _, text := r.ask("GET", "/v1/logs?app=*&include=^f", ""); strings.Count(text, "\n") != 2 {
		t.Errorf("two lines match:\n%s", text)
	}

	// After each record comes the rest; and every format has the same records.
	var records []map[string]any
	_, ndjson := r.ask("GET", "/v1/logs?app=*&format=ndjson", "")
	for line := range strings.Lines(ndjson) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	if len(records) != 6 || records[1]["app"] != "shop-a" || records[1]["message"] != "two" {
		t.Fatalf("got %v", records)
	}
	for i, record := range records {
		_, rest := r.ask("GET", "/v1/logs?app=*&format=ndjson&after="+record["cursor"].(string), "")
		if got, want := strings.Count(rest, "\n"), len(records)-i-1; got != want {
			t.Errorf("behind record %d: %d records, want %d", i, got, want)
		}
	}
	var whole struct {
		Apps    []string
		Entries []map[string]any
		Cursor  string
		Gaps    []map[string]any
	}
	_, body := r.ask("GET", "/v1/logs?app=*&format=json", "")
	if err := json.Unmarshal([]byte(body), &whole); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if fmt.Sprint(whole.Entries) != fmt.Sprint(records) || !slices.Equal(whole.Apps, []string{"foo", "other", "shop-a", "shop-b"}) {
		t.Errorf("as JSON: %s", body)
	}
	if _, rest := r.ask("GET", "/v1/logs?app=*&format=ndjson&after="+whole.Cursor, ""); rest != "" {
		t.Errorf("behind all: %s", rest)
	}
	_, sse := r.ask("GET", "/v1/logs?app=*&format=sse", "")
	for i, event := range strings.Split(strings.TrimSuffix(sse, "\n\n"), "\n\n") {
		data, id, _ := strings.Cut(event, "\nid: ")
		var record map[string]any
		if err := json.Unmarshal([]byte(strings.TrimPrefix(data, "data: ")), &record); err != nil || id != records[i]["cursor"] || fmt.Sprint(record) != fmt.Sprint(records[i]) {
			t.Errorf("event %d: %q (%v)", i, event, err)
		}
	}
}

func TestSeveralAppsRefused(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", at(1, "one"))
	var all []string
	for i := range 129 {
		r.storage.Add(fmt.Sprintf("app-%d", i), at(1, "one"))
		all = append(all, fmt.Sprintf("app-%d", i))
	}
	for query, want := range map[string]string{
		"logs":                                  "400 app is missing",
		"tail?app=":                             "400 app is missing",
		"logs?app=a/b":                          "400 app name",
		"logs?app=a%3F*":                        "400 app=",
		"tail?app=*":                            "400 more than 128 apps are selected, which is the most for one stream: name them, or narrow the pattern",
		"tail?app=" + strings.Join(all, ","):    "400 more than 128 apps",
		"logs?app=foo&after=0000000000000007-1": "400 after: cursor \"0000000000000007-1\" is of one app: want one of several, as m00,APP=CURSOR is",
		"logs?app=foo&after=m01":                "400 after: cursor",
		"logs?app=foo&after=m00&after=m00":      "400 after is given 2 times",
		"logs?app=foo&wait=true":                "400 unknown parameter",
		"logs?app=foo&lines=100001":             "400 lines=100001",
		"tail?app=foo&format=json":              "400 format=json",
		"logs?app=none,neither":                 "404 no app of neither,none has a log",
		"tail?app=none*&wait=false":             "404 no app of none* has a log",
		"apps/foo/logs?after=m00":               "400 after: cursor \"m00\" is of several apps: want one of foo alone",
		"logs?app=foo&include=(":                "400 ",
		"logs?app=foo&cursors=none":             "400 cursors=",
		"tail?app=foo&cursors=few&format=sse":   "400 cursors=few: the id",
		"apps/foo/logs?cursors=few":             "400 unknown parameter",
		"logs?app=foo&after=m00,foo=x":          "400 after: cursor: \"foo=x\" is not",
	} {
		a, body := r.ask("GET", "/v1/"+query, "")
		var answer struct{ Error struct{ Message string } }
		_ = json.Unmarshal([]byte(body), &answer)
		if got := fmt.Sprint(a.StatusCode, " ", answer.Error.Message); !strings.HasPrefix(got, want) {
			t.Errorf("%.80s: %s", query, got)
		}
	}
}

// records reads the NDJSON of a live tail.
type records struct {
	*testing.T
	scanner *bufio.Scanner
	last    string // the newest cursor
	since   map[string]string
}

// cursor returns the newest cursor, as a client puts it together.
func (s *records) cursor() string {
	text := s.last
	for app, place := range s.since {
		text += "," + app + "=" + place
	}
	return text
}

func (r *rig) tailOf(query string, header ...string) *records {
	r.Helper()
	resp := r.open(http.MethodGet, query, "", header...)
	r.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		r.Fatalf("%s: %s", query, resp.Status)
	}
	return &records{T: r.T, scanner: bufio.NewScanner(resp.Body)}
}

// next describes the next record that is not a heartbeat, in a few words.
func (s *records) next() string {
	s.Helper()
	for s.scanner.Scan() {
		var r struct {
			Type, App, Message, Cursor, Place, To, Reason string
			Count                                         int
			Exact                                         bool
		}
		if err := json.Unmarshal(s.scanner.Bytes(), &r); err != nil {
			s.Fatalf("%v: %s", err, s.scanner.Text())
		}
		if r.Cursor != "" || r.Type == "gap" {
			s.last, s.since = r.Cursor, map[string]string{}
		} else {
			s.since[r.App] = r.Place
		}
		switch r.Type {
		case "entry":
			return r.App + " " + r.Message
		case "gap":
			s.last = r.To
			return fmt.Sprintf("%s %d %t %s", r.App, r.Count, r.Exact, r.Reason)
		case "end":
			return "end " + r.Reason
		}
	}
	return "closed"
}

func (s *records) want(all ...string) {
	s.Helper()
	for _, want := range all {
		if got := s.next(); got != want {
			s.Fatalf("got %q, want %q", got, want)
		}
	}
}

// TestTailOfAppsThatComeAndGo: an app that begins joins with its first line. An app that is deleted
// has a gap, and may join again. A client that resumes at the cursor of any of these records gets
// the rest.
func TestTailOfAppsThatComeAndGo(t *testing.T) {
	r := newSeveralRig(t, 10)
	tail := r.tailOf("/v1/tail?app=shop-*&app=foo&format=ndjson")
	r.storage.Add("other", at(1, "never shown"))
	r.storage.Add("shop-a", at(1, "one"))
	tail.want("shop-a one")
	first := tail.last
	r.storage.Add("foo", at(2, "two"))
	tail.want("foo two")
	r.storage.Add("shop-a", at(3, "three"))
	tail.want("shop-a three")
	if err := r.storage.Delete(t.Context(), "shop-a"); err != nil {
		t.Fatal(err)
	}
	tail.want("shop-a 0 false deleted")
	r.storage.Add("shop-a", at(4, "four"))
	tail.want("shop-a four")
	again := r.tailOf("/v1/tail?app=shop-*&app=foo&format=ndjson", "Last-Event-ID", first)
	got := []string{again.next(), again.next(), again.next()}
	slices.Sort(got)
	if fmt.Sprint(got) != "[foo two shop-a 0 false lost shop-a four]" {
		t.Errorf("behind the first line: %q", got)
	}
	r.storage.Add("shop-b", at(5, "five"))
	tail.want("shop-b five")
	again.want("shop-b five")
}

// TestTailOfTooManyFollowers: each app counts.
func TestTailOfTooManyFollowers(t *testing.T) {
	r := newSeveralRig(t, 2)
	for _, app := range []string{"a1", "a2", "a3"} {
		r.storage.Add(app, at(1, "one"))
	}
	if a, body := r.ask("GET", "/v1/tail?app=a*", ""); a.StatusCode != 503 || !strings.Contains(body, "too_many_followers") {
		t.Errorf("%d %s", a.StatusCode, body)
	}
	tail := r.tailOf("/v1/tail?app=b*&app=a1&app=a2&format=ndjson")
	tail.want("a1 one", "a2 one")
	r.storage.Add("b1", at(2, "two"))
	tail.want("end too_many_followers", "closed")
	r.tailOf("/v1/tail?app=a1,a2&format=ndjson").want("a1 one", "a2 one") // there is room again
}

// TestSessionOfSeveralApps: a session shows the lines of its apps that were there when it was made,
// and later ones.
func TestSessionOfSeveralApps(t *testing.T) {
	r := newSeveralRig(t, 10)
	r.storage.Add("foo", at(1, "secret"), at(3, "three"))
	r.storage.Add("shop-a", at(2, "two"))
	r.storage.Add("other", at(9, "nobody's"))
	a, body := r.ask("POST", "/v1/sessions", `{"apps":["foo","shop-*"],"filters":{"lines":2}}`)
	var session struct{ URL string }
	if err := json.Unmarshal([]byte(body), &session); err != nil || a.StatusCode != 201 {
		t.Fatalf("%d %s", a.StatusCode, body)
	}
	r.storage.Add("shop-b", at(4, "four"))
	for _, query := range []string{"?format=ndjson", "?format=ndjson&after=m00", "?format=ndjson&lastEventId=m00"} {
		tail := r.tailOf(session.URL + query)
		if query == "?format=ndjson" { // the session's newest two lines
			tail.want("foo three", "shop-b four")
			continue
		}
		got := []string{tail.next(), tail.next(), tail.next()}
		slices.Sort(got)
		if fmt.Sprint(got) != "[foo three shop-a two shop-b four]" {
			t.Errorf("%s: %q", query, got)
		}
	}
	for body, want := range map[string]string{
		`{"apps":["` + strings.Repeat("x", 20<<10) + `"]}`: "the body is of more than 16384 bytes",
		`{}`: "apps is missing: want a list", `{"apps":"foo"}`: "apps=", `{"apps":[1]}`: "apps=", `{"apps":["a b"]}`: "app name", `{"apps":["foo"],"x":1}`: "accepted: apps, expires_in, filters",
	} {
		if a, answer := r.ask("POST", "/v1/sessions", body); a.StatusCode != 400 || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s", body, a.StatusCode, answer)
		}
	}
	if a, answer := r.ask("POST", "/v1/apps/foo/sessions", `{"apps":["foo"]}`); a.StatusCode != 400 {
		t.Errorf("%d %s", a.StatusCode, answer)
	}
}

// TestFewCursors: entries have no cursor of their own. A client that puts one together from their
// places resumes after any of them without losing or repeating a line, in history and live.
func TestFewCursors(t *testing.T) {
	r := newSeveralRig(t, 50)
	for n := range 12 {
		r.storage.Add([]string{"foo", "shop-a", "shop-b"}[n%3], at(n, fmt.Sprint(n)))
	}
	tail := r.tailOf("/v1/tail?app=*&format=ndjson&cursors=few")
	var want, behind []string
	for n := range 12 {
		tail.want(fmt.Sprintf("%s %d", []string{"foo", "shop-a", "shop-b"}[n%3], n))
		if (tail.since["foo"] != "" || tail.since["shop-a"] != "") != (n > 0) {
			t.Errorf("line %d: cursor %q, places %v", n, tail.last, tail.since)
		}
		behind = append(behind, tail.cursor())
	}
	for n := 12; n < 18; n++ {
		app := []string{"foo", "shop-a", "shop-b"}[n%3]
		r.storage.Add(app, at(n, fmt.Sprint(n)))
		tail.want(fmt.Sprintf("%s %d", app, n))
		behind = append(behind, tail.cursor())
	}
	for n := range 18 {
		want = append(want, fmt.Sprintf("%s %d", []string{"foo", "shop-a", "shop-b"}[n%3], n))
	}
	for i, after := range behind {
		form := url.Values{"app": {"*"}, "format": {"ndjson"}, "cursors": {"few"}, "lines": {"-1"}, "after": {after}}
		rest := r.form("/v1/logs", form)
		rest.want(append(slices.Clone(want[i+1:]), "closed")...)
	}
	if a, body := r.ask("POST", "/v1/logs", `{"app":"*"}`); a.StatusCode != 400 || !strings.Contains(body, "want application/x-www-form-urlencoded") {
		t.Errorf("JSON: %d %s", a.StatusCode, body)
	}
	if a, body := r.ask("POST", "/v1/tail?lines=1", ""); a.StatusCode != 400 || !strings.Contains(body, "want application/x-www-form-urlencoded") {
		t.Errorf("without a type: %d %s", a.StatusCode, body)
	}
}

// form sends the parameters in the body.
func (r *rig) form(path string, form url.Values) *records {
	r.Helper()
	resp, err := r.server.Client().PostForm(r.server.URL+path, form)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		r.Fatalf("%s: %d %s", path, resp.StatusCode, body)
	}
	return &records{T: r.T, scanner: bufio.NewScanner(resp.Body)}
}

// TestLongCursorIsTaken: the cursor of as many apps as allowed, with names as long as allowed, is
// accepted again, however long it becomes. A server-sent event cannot have it as its id.
func TestLongCursorIsTaken(t *testing.T) {
	r := newSeveralRig(t, 1000)
	for n := range 128 {
		for i := range 2 {
			r.storage.Add(fmt.Sprintf("%s-%03d", strings.Repeat(string(rune('a'+n%26)), 249), n), at(1000*i+n, fmt.Sprint(i, " ", n)))
		}
	}
	if a, body := r.ask("GET", "/v1/tail?app=*&format=sse", ""); a.StatusCode != 400 || !strings.Contains(body, "the cursor of 128 apps is of") || !strings.Contains(body, "want format=ndjson") {
		t.Errorf("as server-sent events: %d %s", a.StatusCode, body)
	}
	for _, what := range []string{"logs", "tail"} { // both begin with a short cursor
		if _, body := r.ask("GET", "/v1/"+what+"?app=*&format=sse&lines=-1&after=m00", ""); !strings.Contains(body, `"type":"end","reason":"too_many_apps"`) {
			t.Errorf("%s: after %d bytes there is no end", what, len(body))
		}
	}
	for _, cursors := range []string{"each", "few"} {
		form := url.Values{"app": {"*"}, "format": {"ndjson"}, "lines": {"-1"}, "cursors": {cursors}}
		first := r.form("/v1/tail", form)
		first.scanner.Buffer(nil, 1<<20)
		for range 200 {
			first.next()
		}
		after := first.cursor()
		if len(after) < 16<<10 {
			t.Fatalf("the cursor is of %d bytes", len(after))
		}
		form.Set("after", after)
		rest := r.form("/v1/tail", form)
		rest.scanner.Buffer(nil, 1<<20)
		for n := 200 - 128; n < 128; n++ {
			if got := rest.next(); !strings.HasSuffix(got, fmt.Sprint(" 1 ", n)) {
				t.Fatalf("line %d: %.300s", n, got)
			}
		}
	}
}
