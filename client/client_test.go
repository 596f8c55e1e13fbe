package client_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deis/logger/client"
	"github.com/deis/logger/client/clienttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t *testing.T, opts client.Options) *client.Client {
	t.Helper()
	c, err := client.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestServerURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://logger.example":            "http://logger.example",
		"logger.example:8088":              "http://logger.example:8088",
		"https://logger.example/a/b/":      "https://logger.example/a/b",
		"http://logger.example/v1":         "http://logger.example",
		"logger.example:8088/v1/":          "http://logger.example:8088",
		"https://logger.example/a/v1":      "https://logger.example/a",
		"https://logger.example/av1":       "https://logger.example/av1",
		"https://logger.example/v1/v1":     "https://logger.example/v1",
		"https://user:secret@logger.local": "https://user:xxxxx@logger.local",
		"":                                 "", "http://": "", "ftp://logger": "", "http://logger?x=1": "", "http://a b": "", "http://logger#f": "", "unix:///x": "",
	} {
		c, err := client.New(client.Options{URL: text})
		switch {
		case want == "" && err == nil:
			t.Errorf("%q is taken", text)
		case want != "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && c.URL() != want:
			t.Errorf("%q: %q, want %q", text, c.URL(), want)
		}
	}
}

func TestLogs(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "one", "two\nlines")
	s.Add("foo", clienttest.Entry{Pod: "foo-web-1234567890-abcde", Level: "warn", Message: "three"})
	s.Insert("foo", 3, `{"type":"news","of":"a newer server"}`)
	c := newClient(t, client.Options{URL: s.URL + "/", UserAgent: "test/1", Token: func() (string, error) { return "secret", nil }})
	stream, err := c.Logs(t.Context(), "foo", client.Query{
		Lines: 2, Since: client.Ago(time.Hour), Process: []string{"web", "cron"}, Include: []string{"a b&c=d+e"},
		Level: client.LevelInfo,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	var got []string
	for {
		r, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind != client.KindEntry || r.Cursor == "" || r.Pod != "foo-web-1234567890-abcde" || r.Time.Format(time.RFC3339) != "2026-01-02T15:04:05+02:00" {
			t.Errorf("%+v", r)
		}
		got = append(got, string(r.Level)+" "+r.Message)
	}
	if strings.Join(got, "|") != " two\nlines|warn three" {
		t.Errorf("got %q", got)
	}
	req := s.Requests()[0]
	if q := req.URL.Query(); q.Get("lines") != "2" || q.Get("since") != "1h0m0s" || strings.Join(q["process"], ",") != "web,cron" || q.Get("include") != "a b&c=d+e" || q.Get("level") != "info" || q.Has("after") || q.Has("until") {
		t.Errorf("query %q", req.URL.RawQuery)
	}
	if req.Header.Get("Authorization") != "Bearer secret" || req.UserAgent() != "test/1" || req.Header.Get("Accept") != "application/x-ndjson" {
		t.Errorf("header %v", req.Header)
	}
}

// TestMoments: the zero Moment is none, and whatever At and Ago return is not.
func TestMoments(t *testing.T) {
	s := clienttest.New(t)
	s.Create("foo")
	c := newClient(t, client.Options{URL: s.URL})
	for i, tc := range []struct {
		moment client.Moment
		want   string
	}{
		{client.Moment{}, ""},
		{client.Ago(0), "0s"},
		{client.Ago(90 * time.Second), "1m30s"},
		{client.At(time.Time{}), "0001-01-01T00:00:00Z"},
		{client.At(time.Unix(0, 0).UTC()), "1970-01-01T00:00:00Z"},
		{client.At(time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("", 3600))), "2026-01-02T03:04:05.0000006+01:00"},
	} {
		stream, err := c.Logs(t.Context(), "foo", client.Query{Since: tc.moment, Until: tc.moment})
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Close()
		q := s.Requests()[i].URL.Query()
		if none := tc.want == ""; q.Get("since") != tc.want || q.Get("until") != tc.want || q.Has("since") == none || q.Has("until") == none ||
			tc.moment.IsZero() != none || tc.moment.String() != tc.want {
			t.Errorf("%v: %v, want %q", tc.moment, q, tc.want)
		}
	}
}

func TestAnswerThatIsCutIsNoEnd(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "one", "two", "three")
	c := newClient(t, client.Options{URL: s.URL})
	whole := len(readAll(t, c))
	for n := range 3 * 300 {
		s.Cut(func() int { return n })
		var lost *client.LostError
		stream, err := c.Logs(t.Context(), "foo", client.Query{Lines: client.AllLines})
		count := 0
		for err == nil {
			if _, err = stream.Next(); err == nil {
				count++
			}
		}
		if stream != nil {
			_ = stream.Close()
		}
		if count == whole && errors.Is(err, io.EOF) {
			return
		}
		if !errors.As(err, &lost) {
			t.Fatalf("cut after %d bytes: %d records, then %v", n, count, err)
		}
	}
	t.Error("it never came whole")
}

func readAll(t *testing.T, c *client.Client) (out []client.Record) {
	t.Helper()
	stream, err := c.Logs(t.Context(), "foo", client.Query{Lines: client.AllLines})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	for {
		r, err := stream.Next()
		if err != nil {
			return out
		}
		out = append(out, r)
	}
}

func TestAppsAndDelete(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "one", "two")
	c := newClient(t, client.Options{URL: s.URL})
	apps, err := c.Apps(t.Context())
	if err != nil || len(apps) != 1 || apps[0].Name != "foo" || apps[0].Entries != 2 || apps[0].Newest.IsZero() || !strings.Contains(string(apps[0].Raw), `"bytes":200`) {
		t.Errorf("%+v, %v", apps, err)
	}
	if app, err := c.App(t.Context(), "foo"); err != nil || app.Bytes != 200 {
		t.Errorf("%+v, %v", app, err)
	}
	if err := c.Delete(t.Context(), "foo"); err != nil {
		t.Error(err)
	}
	if _, err := c.App(t.Context(), "foo"); !client.HasCode(err, client.CodeAppUnknown) {
		t.Error(err)
	}
	asked := len(s.Requests())
	for _, name := range []string{"", "..", ".", "a/b", "a?b", "-a", "ä", strings.Repeat("a", 254), "a\n"} {
		if err := c.Delete(t.Context(), name); !client.HasCode(err, client.CodeBadRequest) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if len(s.Requests()) != asked {
		t.Error("the server was asked for a name that no app has")
	}
}

func TestErrors(t *testing.T) {
	s := clienttest.New(t)
	c := newClient(t, client.Options{URL: s.URL})
	for name, tc := range map[string]struct {
		answer   func(w http.ResponseWriter)
		want     string
		notReady bool
	}{
		"API":   {func(w http.ResponseWriter) { clienttest.Refuse(w, 503, "storage_away", "redis\nis\x1b[31m away") }, "redis is [31m away", true},
		"proxy": {func(w http.ResponseWriter) { http.Error(w, "no upstream", http.StatusBadGateway) }, "502 Bad Gateway: no upstream", true},
		"page": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(500)
			_, _ = w.Write([]byte("<html>"))
		}, "500 Internal Server Error", true},
		"sign in": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
		}, "text/html instead of application/json", false},
		"redirect": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(302)
		}, "it points to https://elsewhere.example/", false},
		"full": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "7")
			clienttest.Refuse(w, 429, "too_many_followers", "full")
		}, "full", true},
	} {
		s.Answer(func(w http.ResponseWriter, _ *http.Request) bool { tc.answer(w); return true })
		_, err := c.Apps(t.Context())
		var answer *client.Error
		if !errors.As(err, &answer) || !strings.Contains(err.Error(), tc.want) || answer.NotReady() != tc.notReady {
			t.Errorf("%s: %v (%+v)", name, err, answer)
		}
		if name == "full" && answer.RetryAfter != 7*time.Second {
			t.Errorf("Retry-After: %s", answer.RetryAfter)
		}
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	c := newClient(t, client.Options{URL: "http://user:secret@" + addr})
	var unreachable *client.UnreachableError
	if _, err := c.Apps(t.Context()); !errors.As(err, &unreachable) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), addr) {
		t.Error(err)
	}
	refused := errors.New("no token")
	c = newClient(t, client.Options{URL: addr, Token: func() (string, error) { return "", refused }})
	if _, err := c.Apps(t.Context()); !errors.Is(err, refused) {
		t.Error(err)
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(`{"type":"entry","message":"x"}` + "\n" + `{"type":"gap","count":3}` + "\n"))
	f.Add([]byte("\n\n{}\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := client.NewStream(io.NopCloser(strings.NewReader(string(body))))
		for range len(body) + 1 {
			r, err := s.Next()
			if err != nil {
				return
			}
			if strings.ContainsAny(string(r.Raw), "\n") || !strings.Contains(string(body), string(r.Raw)) {
				t.Fatalf("record %q of %q", r.Raw, body)
			}
		}
		t.Fatal("it never ends")
	})
}

// TestRecordWithoutItsEnd uses a connection that does not mark the end of an answer.
func TestRecordWithoutItsEnd(t *testing.T) {
	s := client.NewStream(io.NopCloser(strings.NewReader(`{"type":"entry","message":"whole"}` + "\n" + `{"type":"entry","message":"12"}`)))
	if r, err := s.Next(); err != nil || r.Message != "whole" {
		t.Errorf("%+v, %v", r, err)
	}
	var lost *client.LostError
	if r, err := s.Next(); !errors.As(err, &lost) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestAppsInPages: Apps reads all pages of the list.
func TestAppsInPages(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, map[string]string{
			"":        `{"apps":[{"app":"a"},{"app":"b"}],"next":"b"}`,
			"after=b": `{"apps":[{"app":"c"}],"next":"c"}`,
			"after=c": `{"apps":[],"next":"c"}`, // leads nowhere new
		}[r.URL.RawQuery])
	}))
	defer server.Close()
	apps, err := newClient(t, client.Options{URL: server.URL}).Apps(t.Context())
	if err != nil || len(apps) != 3 || apps[2].Name != "c" || strings.Join(asked, " ") != " after=b after=c" {
		t.Errorf("%+v after %q, %v", apps, asked, err)
	}
}
