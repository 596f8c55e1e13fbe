package client_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/deis/logger/client"
	"github.com/deis/logger/client/clienttest"
)

// TestFollowAppsGetsEachLineOnce follows three apps while every connection is cut somewhere.
func TestFollowAppsGetsEachLineOnce(t *testing.T) {
	const total = 600
	s := clienttest.New(t)
	for i := range total {
		s.Append([]string{"foo", "shop-a", "shop-b", "other"}[i%4], fmt.Sprint(i))
	}
	s.CutAtRandom(20_000)
	next, lost := 0, 0
	opts := quick(func(r client.Record) error {
		if want := []string{"foo", "shop-a", "shop-b"}[next%4]; r.App != want || r.Message != fmt.Sprint(next) {
			return fmt.Errorf("got %s %q, want %s %d", r.App, r.Message, want, next)
		}
		if next++; next%4 == 3 {
			next++ // nobody follows the other one
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
	cursor, err := newClient(t, client.Options{URL: s.URL}).FollowApps(t.Context(), []string{"foo", "shop-*"}, client.Query{Lines: client.AllLines}, opts)
	if !errors.Is(err, errEnough) || lost < 5 || cursor == "" {
		t.Fatalf("after %d lines and %d lost connections: %q, %v", next, lost, cursor, err)
	}
	if q := s.Requests()[len(s.Requests())-1].URL.Query(); q.Get("after") == "" || fmt.Sprint(q["app"]) != "[foo shop-*]" {
		t.Errorf("asked %v", q)
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
	for _, name := range []string{"", "a/b", "a b*", "?"} {
		if _, err := c.LogsOfApps(t.Context(), []string{name}, client.Query{}); !client.HasCode(err, client.CodeBadRequest) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if len(s.Requests()) != 1 {
		t.Error("the server was asked for what is no app")
	}
}
