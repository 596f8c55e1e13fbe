package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// serving returns a logger whose process is the test's own, and which answers as told.
func serving(t *testing.T, answer http.HandlerFunc) *logger {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		s.Close()
	})
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return &logger{
		process: &process{cmd: &exec.Cmd{Process: self}},
		url:     s.URL, plugins: map[string]int{"aggregator": self.Pid, "storage": self.Pid},
	}
}

// TestExact: exact notices if an app's log lacks a line, has one twice, or is out of order.
func TestExact(t *testing.T) {
	const messages = apps*keptLines + 20*apps
	log := func(app int) (lines []string) {
		for i := app; i < messages; i += apps {
			lines = append(lines, "x GET /items/"+fmt.Sprint(i)+" HTTP\n")
		}
		return lines[len(lines)-keptLines:]
	}
	for name, c := range map[string]struct {
		change func(lines []string) []string
		ok     bool
	}{
		"right":        {func(l []string) []string { return l }, true},
		"one missing":  {func(l []string) []string { return append(l[:500:500], l[501:]...) }, false},
		"last missing": {func(l []string) []string { return l[:len(l)-1] }, false},
		"one twice":    {func(l []string) []string { return append(l[:500:500], l[499:]...) }, false},
		"out of order": {func(l []string) []string { l[7], l[8] = l[8], l[7]; return l }, false},
		"one too many": {func(l []string) []string { return append([]string{"x GET /items/0 HTTP\n"}, l...) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := serving(t, func(w http.ResponseWriter, r *http.Request) {
				app := 0
				_, _ = fmt.Sscanf(r.URL.Path, "/logs/lantern-field-%d", &app)
				_, _ = w.Write([]byte(strings.Join(c.change(log(app)), "")))
			})
			for _, app := range []int{0, 1, apps - 1} {
				if err := l.exact(t.Context(), app, messages); (err == nil) != c.ok {
					t.Errorf("app %d: %v", app, err)
				}
			}
		})
	}
}

// TestSearcher counts the lines of each answer, and accepts only the ends that an expensive request
// may have.
func TestSearcher(t *testing.T) {
	r := newTestRig(t)
	status := http.StatusServiceUnavailable
	l := serving(t, func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.RawQuery, "since") {
			_, _ = w.Write([]byte("a\nb\n"))
			return
		}
		w.WriteHeader(status)
	})
	s := searcher{l: l, r: r, storage: "memory"}
	if took, err := s.measure(t.Context(), "two", "since=1m", 2); err != nil || took <= 0 {
		t.Errorf("%s, %v", took, err)
	}
	if _, err := s.measure(t.Context(), "three", "since=1m", 3); err == nil {
		t.Error("an answer of two lines is taken for one of three")
	}
	if err := s.tooExpensive(t.Context()); err != nil {
		t.Error(err)
	}
	status = http.StatusTeapot
	if err := s.tooExpensive(t.Context()); err == nil {
		t.Error("any status is taken for an end")
	}
	if err := r.grep(t.Context(), "memory", []byte("a\nb\n")); err != nil {
		t.Error(err)
	}
	if err := r.grep(t.Context(), "memory", []byte(absent+"\n")); err == nil {
		t.Error("grep finds what is not there")
	}
}

// TestCountLines tells an answer that breaks off from a whole one.
func TestCountLines(t *testing.T) {
	l := serving(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/whole":
			_, _ = w.Write([]byte(strings.Repeat("line\n", 100_000)))
		case "/short":
			_, _ = w.Write([]byte("line\n"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		default:
			http.Error(w, "away", http.StatusServiceUnavailable)
		}
	})
	if n, size, err := countLines(t.Context(), l.url+"/whole"); n != 100_000 || size != 500_000 || err != nil {
		t.Errorf("%d lines, %d bytes, %v", n, size, err)
	}
	for _, path := range []string{"/short", "/none"} {
		if n, _, err := countLines(t.Context(), l.url+path); err == nil {
			t.Errorf("%s: %d lines", path, n)
		}
	}
}

// TestPublishEach publishes each app's lines at the low rate, and checks the times that are
// returned.
func TestPublishEach(t *testing.T) {
	r := newTestRig(t)
	ctx := context.Background()
	q, err := r.startQueue(ctx, 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer q.stop()
	p, err := newPublisher(ctx, q.TCP)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	start := time.Now()
	sent, err := publishEach(ctx, p, 3)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 2*time.Second/linesPerSecond {
		t.Errorf("three lines of each app in %s", took)
	}
	for app, times := range sent {
		if len(times) != 3 || times[0].Before(start) || !times[0].Before(times[2]) {
			t.Errorf("app %d: %v", app, times)
		}
	}
	if c, err := q.counts(ctx); err != nil || c.Messages != 3*crowdApps {
		t.Errorf("%d messages, %v", c.Messages, err)
	}
}
