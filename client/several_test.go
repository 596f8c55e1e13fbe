package client_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/client"
	"github.com/deis/logger/client/clienttest"
)

// TestFollowAppsGetsEachLineOnce follows three apps while every connection is cut somewhere: with a
// cursor in each record, with few cursors, and with parameters that are too long for a URL.
func TestFollowAppsGetsEachLineOnce(t *testing.T) {
	long := strings.Repeat("x", 200)
	for name, q := range map[string]client.Query{"each": {}, "few": {FewCursors: true}, "long": {FewCursors: true, Exclude: slices.Repeat([]string{long}, 25)}} {
		t.Run(name, func(t *testing.T) { followApps(t, q) })
	}
}

func followApps(t *testing.T, q client.Query) {
	const total = 600
	s := clienttest.New(t)
	for i := range total {
		s.Append([]string{"foo", "shop-a", "shop-b", "other"}[i%4], fmt.Sprint(i))
	}
	s.CutAtRandom(20_000)
	next, lost := 0, 0
	q.Lines = client.AllLines
	opts := quick(func(r client.Record) error {
		if want := []string{"foo", "shop-a", "shop-b"}[next%4]; r.App != want || r.Message != fmt.Sprint(next) {
			return fmt.Errorf("got %s %q, want %s %d", r.App, r.Message, want, next)
		}
		if next++; next%4 == 3 {
			next++ // nobody follows the other app
		}
		if next == total {
			return errEnough
		}
		return nil
	})
	opts.Notice = func(e client.Event) {
		if e.Kind == client.EventLost {
			lost++
		}
	}
	cursor, err := newClient(t, client.Options{URL: s.URL}).FollowApps(t.Context(), []string{"foo", "shop-*"}, q, opts)
	if !errors.Is(err, errEnough) || lost < 5 || cursor == "" {
		t.Fatalf("after %d lines and %d lost connections: %q, %v", next, lost, cursor, err)
	}
	last := s.Requests()[len(s.Requests())-1]
	if v := last.Form; v.Get("after") == "" || fmt.Sprint(v["app"]) != "[foo shop-*]" || v.Has("cursors") != q.FewCursors {
		t.Errorf("asked %v", v)
	}
	if want := map[bool]string{false: "GET", true: "POST"}[len(q.Exclude) > 0]; last.Method != want {
		t.Errorf("asked by %s, want %s", last.Method, want)
	}
}

func TestLogsOfApps(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "one")
	s.Append("bar", "two")
	c := newClient(t, client.Options{URL: s.URL})
	stream, err := c.LogsOfApps(t.Context(), []string{"foo", "b*"}, client.Query{Lines: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	for _, want := range []string{"foo one", "bar two"} {
		if r, err := stream.Next(); err != nil || r.App+" "+r.Message != want {
			t.Errorf("%+v, %v, want %s", r, err, want)
		}
	}
	if _, err := stream.Next(); !errors.Is(err, io.EOF) || stream.Cursor() != "m01-2" {
		t.Errorf("at the end: %v at %q", err, stream.Cursor())
	}
	for _, name := range []string{"", "a/b", "a b*", "?"} {
		if _, err := c.LogsOfApps(t.Context(), []string{name}, client.Query{}); !client.HasCode(err, client.CodeBadRequest) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if len(s.Requests()) != 1 {
		t.Error("the server was asked for what is no app")
	}
}
