package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// tailServer answers with the records, one write each.
func tailServer(t *testing.T, status int, records ...string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		for _, record := range records {
			_, _ = fmt.Fprintln(w, record)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestFollower(t *testing.T) {
	line := func(i int) string { return `{"message":"` + followToken(i) + `text"}` }
	for _, c := range []struct {
		name    string
		records []string
		want    string // of the error; empty for none
	}{
		{"all lines", []string{line(0), "", line(1), line(2)}, ""},
		{"a line is missing", []string{line(0), line(2)}, "line 2, want 1"},
		{"a line is doubled", []string{line(0), line(0)}, "line 0, want 1"},
		{"a gap record in its place", []string{line(0), `{"gap":{"count":1}}`, line(2)}, "line 2, want 1"},
		{"it ends early", []string{line(0), line(1)}, "after 2 of 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			f, err := newFollower(ctx, tailServer(t, http.StatusOK, c.records...), "a")
			if err != nil {
				t.Fatal(err)
			}
			f.run(3, cancel)
			switch err := context.Cause(ctx); {
			case c.want == "" && (err != nil || len(f.arrived) != 3):
				t.Errorf("%d lines, %v", len(f.arrived), err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			}
			cancel(nil)
		})
	}
}

func TestFollowerWithoutTail(t *testing.T) {
	if _, err := newFollower(t.Context(), tailServer(t, http.StatusNotFound), "a"); !errors.Is(err, errNoTail) {
		t.Errorf("error %v, want that there is no tail", err)
	}
}

func TestAsker(t *testing.T) {
	long := strings.Repeat("a line\n", 50_000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/long": // chunked
			_, _ = w.Write([]byte(long))
		default:
			http.Error(w, "away", http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	a, err := newAsker(t.Context(), s.URL, 4<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	for range 2 { // on one connection
		if got, err := a.ask("/long"); err != nil || !bytes.Equal(got, []byte(long)) {
			t.Errorf("%d bytes, %v; want %d", len(got), err, len(long))
		}
		if got, err := a.ask("/none"); err != nil || len(got) != 0 {
			t.Errorf("204: %q, %v", got, err)
		}
		if _, err := a.ask("/else"); err == nil || !strings.Contains(err.Error(), "away") {
			t.Errorf("503: error %v", err)
		}
	}
}
