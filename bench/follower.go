package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// follower reads one live tail.
type follower struct {
	*asker
	resp    *http.Response
	arrived []time.Time   // of each line; complete once done is closed
	done    chan struct{} // closed by run
}

// newFollower returns once the logger has begun to answer. The connection ends with ctx, or by
// close. If there is no such path, the error wraps errNoTail.
func newFollower(ctx context.Context, server, app string) (*follower, error) {
	a, err := newAsker(ctx, server, 4<<10)
	if err != nil {
		return nil, err
	}
	err = a.request("/v1/apps/"+app+"/tail?lines=1", "Accept: application/x-ndjson\r\n")
	var resp *http.Response
	if err == nil {
		resp, err = http.ReadResponse(a.in, nil) //nolint:bodyclose // the connection's end is its
	}
	switch {
	case err != nil:
	case resp.StatusCode == http.StatusNotFound:
		err = errNoTail
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("tail of %s: %s", app, resp.Status)
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return &follower{asker: a, resp: resp, done: make(chan struct{})}, nil
}

// followToken begins the text of the i-th line.
func followToken(i int) string { return "follow-" + strconv.Itoa(i) + ". " }

// run reads until it has so many lines. If a line is missing, doubled or out of order, it calls
// fail and ends.
func (f *follower) run(lines int, fail context.CancelCauseFunc) {
	defer close(f.done)
	defer f.close()
	in := bufio.NewReaderSize(f.resp.Body, 4<<10)
	for len(f.arrived) < lines {
		record, err := in.ReadSlice('\n')
		if err != nil {
			fail(fmt.Errorf("a tail ended after %d of %d lines: %w", len(f.arrived), lines, err))
			return
		}
		now := time.Now()
		_, after, found := bytes.Cut(record, []byte("follow-"))
		if !found {
			continue // for instance an empty record that keeps the connection open
		}
		number, _, _ := bytes.Cut(after, []byte("."))
		if string(number) != strconv.Itoa(len(f.arrived)) {
			fail(fmt.Errorf("a tail continues with line %s, want %d", number, len(f.arrived)))
			return
		}
		f.arrived = append(f.arrived, now)
	}
}
