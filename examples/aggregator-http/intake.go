package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// intake takes requests, side by side, and hands them over one after the other: their
// order is that in which their bodies were complete.
type intake struct {
	settings
	requests chan *request

	mu   sync.Mutex
	free int64 // bytes that requests may still take
}

// request holds a body that waits for its place.
type request struct {
	messages []sdk.Message
	placed   chan result // answered once, never blocks
}

type result struct {
	receipt *sdk.Receipt
	err     error
}

// hand hands over one request after the other until ctx ends, and returns when all that
// it handed over is stored or refused. The receipt comes to the request, so the next is
// handed over before this one is stored.
func (in *intake) hand(ctx context.Context, deliver sdk.Deliver) {
	// What was received may still be delivered when ctx ends; the host says until when.
	delivering := context.WithoutCancel(ctx)
	var owed sync.WaitGroup
	defer owed.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-in.requests:
			receipt, err := deliver(delivering, r.messages)
			r.placed <- result{receipt, err}
			if err == nil {
				owed.Go(func() { <-receipt.Done() }) // soon after the host's stop timeout at the latest
			}
		}
	}
}

// routes answer requests until stop ends, and after it only what was handed over.
func (in *intake) routes(stop context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		messages, release, err := in.read(w, r)
		defer release()
		if err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), in.Timeout)
			defer cancel()
			err = in.store(ctx, stop, messages)
		}
		answer(w, err, time.Since(began))
	})
	return mux
}

// refusal holds an answer other than 200.
type refusal struct {
	status int
	reason string
}

func (r *refusal) Error() string { return r.reason }

func answer(w http.ResponseWriter, err error, took time.Duration) {
	if err == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	status := http.StatusServiceUnavailable
	if r := (*refusal)(nil); errors.As(err, &r) {
		status = r.status
	}
	if status == http.StatusServiceUnavailable {
		// Who was kept waiting need not wait again; who was refused at once should.
		w.Header().Set("Retry-After", strconv.Itoa(max(1, 2-int(took.Seconds()))))
	}
	http.Error(w, err.Error(), status)
}

// read takes the body, within the bounds. Release gives back what it takes of them.
func (in *intake) read(w http.ResponseWriter, r *http.Request) (messages []sdk.Message, release func(), err error) {
	release = func() {}
	if !in.allowed(r) {
		return nil, release, &refusal{http.StatusUnauthorized, "want Authorization: Bearer TOKEN"}
	}
	// What the client says that it sends counts from the start; if it does not say, the most.
	size := r.ContentLength
	if size < 0 {
		size = int64(in.MaxBody)
	}
	if size > int64(in.MaxBody) {
		return nil, release, tooLarge(in.MaxBody)
	}
	if !in.reserve(size) {
		return nil, release, &refusal{http.StatusServiceUnavailable, "too much is waiting to be stored"}
	}
	release = func() { in.reserve(-size) }
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(in.MaxBody)))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return nil, release, tooLarge(in.MaxBody)
	}
	if err != nil {
		return nil, release, &refusal{http.StatusBadRequest, "the body ended early"}
	}
	return split(body, r.Header.Get("Content-Type"), r.Header.Get("Idempotency-Key")), release, nil
}

func tooLarge(limit sdk.Bytes) error {
	return &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes: send less at once", limit)}
}

// allowed compares digests, whose comparison tells nothing of the token, its length included.
func (in *intake) allowed(r *http.Request) bool {
	got, want := sha256.Sum256([]byte(r.Header.Get("Authorization"))), sha256.Sum256([]byte("Bearer "+in.Token))
	return in.Token == "" || subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

func (in *intake) reserve(size int64) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if size > in.free {
		return false
	}
	in.free -= size
	return true
}

// store hands the messages over and waits until they are stored.
func (in *intake) store(ctx, stop context.Context, messages []sdk.Message) error {
	if len(messages) == 0 {
		return nil
	}
	r := &request{messages: messages, placed: make(chan result, 1)}
	select {
	case in.requests <- r:
	case <-stop.Done():
		return &refusal{http.StatusServiceUnavailable, "stopping"}
	case <-ctx.Done():
		return fmt.Errorf("not stored in time: %w", ctx.Err())
	}
	var placed result
	select {
	case placed = <-r.placed:
	case <-ctx.Done():
		return fmt.Errorf("not stored in time: %w", ctx.Err())
	}
	if placed.err != nil {
		return placed.err
	}
	return placed.receipt.Wait(ctx)
}

// split cuts a body into messages: one per line, blank lines left out. A body of type
// application/octet-stream is one message as it is, whatever is in it. With a key,
// which the client repeats when it tries again, the host drops what it has already.
func split(body []byte, contentType, key string) (messages []sdk.Message) {
	add := func(payload []byte) {
		m := sdk.Message{Payload: payload} // when it came first, and how often, nobody here knows
		if key != "" {
			m.ID = key + "/" + strconv.Itoa(len(messages))
		}
		messages = append(messages, m)
	}
	if kind, _, _ := mime.ParseMediaType(contentType); kind == "application/octet-stream" {
		if len(body) > 0 {
			add(body)
		}
		return messages
	}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSuffix(line, []byte("\n")); len(bytes.TrimSpace(line)) > 0 {
			add(line)
		}
	}
	return messages
}
