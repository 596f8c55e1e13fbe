package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/client"
	"github.com/deis/logger/e2e/harness"
)

// TestPostgres: if the backend of a third party's storage fails while lines flow, no acknowledged
// line is lost, and a live tail gets each line once. The plugin is examples/storage-postgres, whose
// tails learn of lines by LISTEN. Its PostgreSQL is killed and frozen in turn, and comes back each
// time.
func TestPostgres(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	harness.BuildExample(t, "storage-postgres", dir)
	postgres := harness.StartPostgres(t)
	r := newRig(t, postgres.Settings("logger"), map[string]string{
		"STORAGE_ADAPTER": "postgres", "LOGGER_PLUGIN_PATH": dir + ":" + harness.Binary("plugins"),
	})
	r.begin()
	seen := r.tail("app-0")
	process := r.logger.Plugin("storage").PID
	for range 2 {
		postgres.Kill()
		r.unready()
		r.says("connection refused")
		postgres.Start()
		began := time.Now()
		r.flowing()
		t.Logf("new lines of every app %s after the restart", time.Since(began))

		postgres.Signal(syscall.SIGSTOP)
		r.unready()
		r.says("it does not answer in time")
		r.goOn(away)
		postgres.Signal(syscall.SIGCONT)
		began = time.Now()
		r.flowing()
		t.Logf("new lines of every app %s after the thaw", time.Since(began))
	}
	r.finish()
	r.toldSo()
	r.touched()
	seen(r.pub.accepted())
	// Only the backend was away. The host must not have taken the plugin for hung.
	if now := r.logger.Plugin("storage").PID; now != process {
		t.Errorf("the plugin's process was replaced: %d is now %d", process, now)
	}
}

// tail follows an app until its result is called. That function checks that each of the numbers
// came exactly once.
func (r *rig) tail(app string) (seen func(numbers map[int]bool)) {
	c, err := client.New(client.Options{URL: r.logger.URL})
	if err != nil {
		r.t.Fatal(err)
	}
	var mu sync.Mutex
	times := map[string]int{} // how often each message came
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Follow(ctx, app, client.Query{Lines: client.AllLines}, client.FollowOptions{Handle: func(record client.Record) error {
			mu.Lock()
			defer mu.Unlock()
			switch record.Kind {
			case client.KindEntry:
				times[record.Message]++
			case client.KindGap:
				times["a gap"]++
			default: // the other records have no lines
			}
			return nil
		}})
		done <- err
	}()
	return func(numbers map[int]bool) {
		r.t.Helper()
		r.logger.Until("the tail has all lines", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(times) >= len(numbers)
		})
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			r.t.Errorf("the tail ended with %v", err)
		}
		c.Close()
		for n := range numbers {
			if text := fmt.Sprintf("number %d", n); times[text] != 1 {
				r.t.Errorf("the tail has %q %d times", text, times[text])
			}
		}
		if times["a gap"] > 0 {
			r.t.Errorf("the tail has %d gaps", times["a gap"])
		}
	}
}

// says waits until the host's reason for the storage's state contains the words.
func (r *rig) says(words string) {
	r.t.Helper()
	r.logger.Until("the host says "+words, func() bool {
		reason := r.logger.Plugin("storage").Reason
		return strings.Contains(reason, "PostgreSQL at 127.0.0.1:") && strings.Contains(reason, words)
	})
	if status := r.logger.Status("/logs/app-0"); status != http.StatusServiceUnavailable && status != http.StatusOK {
		r.t.Errorf("GET /logs/app-0: %d", status)
	}
}
