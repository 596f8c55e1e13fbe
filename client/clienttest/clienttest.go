// Package clienttest has a fake of the logger's /v1 API, for tests of clients. It keeps lines in
// memory, and fails when it is told to.
package clienttest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Entry holds one line, as the API gives it.
type Entry struct {
	Type     string `json:"type"`
	Cursor   string `json:"cursor,omitempty"`
	App      string `json:"app,omitempty"`   // in answers of several apps
	Place    string `json:"place,omitempty"` // in such answers
	Time     string `json:"time"`
	Source   string `json:"source"`
	Level    string `json:"level,omitempty"`
	Process  string `json:"process,omitempty"`
	Release  string `json:"release,omitempty"`
	Pod      string `json:"pod,omitempty"`
	Stream   string `json:"stream,omitempty"`
	Message  string `json:"message"`
	CutBytes int    `json:"cut_bytes,omitempty"`
}

// Server serves the API from memory. Its methods are safe for concurrent use.
type Server struct {
	URL string

	mu       sync.Mutex
	apps     map[string][]Entry
	all      []Entry       // of all apps
	changed  chan struct{} // closed and replaced by each change
	requests []*http.Request
	answer   func(w http.ResponseWriter, r *http.Request) bool
	cut      func() int
	insert   map[string]string
	ended    string
	drop     func()
}

// New starts a fake logger until the end of the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{apps: map[string][]Entry{}, changed: make(chan struct{}), insert: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.End("stopping")
		server.CloseClientConnections()
		server.Close()
	})
	s.URL, s.drop = server.URL, server.CloseClientConnections
	return s
}

func (s *Server) change(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Append adds lines of a pod to the log of an app.
func (s *Server) Append(app string, messages ...string) {
	for _, m := range messages {
		s.Add(app, Entry{Process: "web", Release: "v1", Pod: app + "-web-1234567890-abcde", Stream: "stdout", Message: m})
	}
}

// Add adds an entry to the log of an app.
func (s *Server) Add(app string, e Entry) {
	s.change(func() {
		e.Type, e.Cursor = "entry", cursor(len(s.apps[app])+1)
		if e.Time == "" {
			e.Time = "2026-01-02T15:04:05.123456+02:00"
		}
		if e.Source == "" {
			e.Source = "app"
		}
		s.apps[app] = append(s.apps[app], e)
		e.App = app
		s.all = append(s.all, e)
	})
}

// Create makes an app that has no lines.
func (s *Server) Create(app string) { s.change(func() { s.apps[app] = []Entry{} }) }

// Insert puts a line of NDJSON before the entry at that position, from 1.
func (s *Server) Insert(app string, position int, line string) {
	s.change(func() { s.insert[app+cursor(position)] = line })
}

// End ends all tails with that reason, and new ones too until it is called with "".
func (s *Server) End(reason string) { s.change(func() { s.ended = reason }) }

// Cut makes each answer from now on end after as many bytes as the function returns, even in the
// middle of a record. Nil ends none.
func (s *Server) Cut(after func() int) { s.change(func() { s.cut = after }) }

// CutAtRandom cuts answers after up to n bytes.
func (s *Server) CutAtRandom(n int) {
	s.Cut(func() int { return rand.IntN(n) }) //nolint:gosec // where to cut is no secret
}

// Drop closes all connections, whatever is under way.
func (s *Server) Drop() { s.drop() }

// Answer sets a function that is called first for each request from now on. If it returns true, it
// has answered. Nil removes it.
func (s *Server) Answer(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.change(func() { s.answer = f })
}

// Requests returns all requests so far.
func (s *Server) Requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Refuse answers with an error as the API does.
func Refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func cursor(position int) string { return fmt.Sprintf("0123456789abcdef-%d", position) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	answer, cut := s.answer, s.cut
	s.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	if cut != nil {
		w = &cutter{ResponseWriter: w, left: cut()}
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/apps"), "/")
	app := ""
	if len(parts) > 1 {
		app = parts[1]
	}
	s.mu.Lock()
	_, known := s.apps[app]
	s.mu.Unlock()
	switch {
	case r.URL.Path == "/v1/logs" || r.URL.Path == "/v1/tail":
		s.serveSeveral(w, r, r.URL.Path == "/v1/tail")
	case !strings.HasPrefix(r.URL.Path, "/v1/apps"):
		Refuse(w, http.StatusNotFound, "not_found", "no such path")
	case app == "":
		s.serveApps(w)
	case len(parts) == 3 && parts[2] == "tail" && (known || r.URL.Query().Get("wait") != "false"):
		s.serveLines(w, r, app, true)
	case !known && r.Method == http.MethodGet:
		Refuse(w, http.StatusNotFound, "app_unknown", "no app "+app)
	case len(parts) == 2:
		s.mu.Lock()
		defer s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.describe(app))
	case r.Method == http.MethodDelete:
		s.change(func() { delete(s.apps, app) })
		w.WriteHeader(http.StatusNoContent)
	default:
		s.serveLines(w, r, app, false)
	}
}

func (s *Server) describe(app string) map[string]any {
	out := map[string]any{"app": app, "entries": len(s.apps[app]), "bytes": 100 * len(s.apps[app])}
	if n := len(s.apps[app]); n > 0 {
		out["oldest"], out["newest"] = s.apps[app][0].Time, s.apps[app][n-1].Time
	}
	return out
}

func (s *Server) serveApps(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]map[string]any, 0, len(s.apps))
	for app := range s.apps {
		all = append(all, s.describe(app))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(map[string]any{"apps": all})
}

func (s *Server) serveLines(w http.ResponseWriter, r *http.Request, app string, live bool) {
	s.send(w, r, app, live, cursor, func() []Entry { return s.apps[app] })
}

func severalCursor(position int) string { return fmt.Sprintf("m01-%d", position) }

// serveSeveral serves the lines of several apps, in the order of arrival.
func (s *Server) serveSeveral(w http.ResponseWriter, r *http.Request, live bool) {
	if err := r.ParseForm(); err != nil { // parameters may be in the body
		Refuse(w, http.StatusBadRequest, "bad_request", err.Error())
		return
	}
	selected := func(app string) bool {
		return slices.ContainsFunc(r.Form["app"], func(pattern string) bool {
			ok, _ := path.Match(pattern, app)
			return ok
		})
	}
	of := func() []Entry {
		all := slices.DeleteFunc(slices.Clone(s.all), func(e Entry) bool { return !selected(e.App) })
		for i := range all {
			all[i].Place = cursor(i + 1)
			if all[i].Cursor = ""; i == 0 || r.Form.Get("cursors") != "few" {
				all[i].Cursor = severalCursor(i + 1)
			}
		}
		return all
	}
	s.mu.Lock()
	none := len(of()) == 0
	s.mu.Unlock()
	if none && (!live || r.Form.Get("wait") == "false") {
		Refuse(w, http.StatusNotFound, "app_unknown", "no app has a log")
		return
	}
	s.send(w, r, "", live, severalCursor, of)
}

// send sends the entries that of returns. If live is set, it then sends later ones. It calls of
// with the lock held.
func (s *Server) send(w http.ResponseWriter, r *http.Request, app string, live bool, cursor func(int) string, of func() []Entry) {
	query := r.URL.Query()
	if r.Form != nil {
		query = r.Form
	}
	lines, err := strconv.Atoi(query.Get("lines"))
	if err != nil {
		lines = 100
	}
	s.mu.Lock()
	next := len(of()) + 1
	s.mu.Unlock()
	if lines < 0 || lines >= next {
		next = 1
	} else {
		next -= lines
	}
	if after := query.Get("after"); after != "" {
		for place := range strings.SplitSeq(after, ",") { // with several apps, their places follow the cursor
			n, _ := strconv.Atoi(place[strings.LastIndexByte(place, '-')+1:])
			next = max(next, n+1)
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	told := false
	for {
		s.mu.Lock()
		entries, changed, ended := of(), s.changed, s.ended
		s.mu.Unlock()
		for ; next <= len(entries); next++ {
			if line := s.insert[app+cursor(next)]; app != "" && line != "" {
				_, _ = fmt.Fprintln(w, line)
			}
			b, _ := json.Marshal(entries[next-1])
			_, _ = fmt.Fprintf(w, "%s\n", b)
		}
		if !live {
			return
		}
		if ended == "" && live && !told && query.Get("until") != "" {
			_, _ = fmt.Fprintf(w, `{"type":"end","reason":"until","cursor":%q}`+"\n", cursor(next-1))
			return
		}
		if ended != "" {
			_, _ = fmt.Fprintf(w, `{"type":"end","reason":%q,"cursor":%q}`+"\n", ended, cursor(next-1))
			return
		}
		if !told {
			_, _ = fmt.Fprintf(w, `{"type":"heartbeat","cursor":%q}`+"\n", cursor(next-1))
			told = true
		}
		w.(http.Flusher).Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-time.After(time.Second):
			_, _ = fmt.Fprintf(w, `{"type":"heartbeat","cursor":%q}`+"\n", cursor(next-1))
		}
	}
}

// cutter ends the connection after a number of bytes.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	if len(b) > c.left {
		_, _ = c.ResponseWriter.Write(b[:c.left])
		c.Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(b)
	return c.ResponseWriter.Write(b)
}

func (c *cutter) Flush() { c.ResponseWriter.(http.Flusher).Flush() }
