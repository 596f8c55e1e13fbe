package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The codes of the API's errors that a caller may want to tell apart.
const (
	CodeAppUnknown   = "app_unknown"
	CodeBadRequest   = "bad_request"
	CodeUnauthorized = "unauthorized"
	CodeStorageAway  = "storage_away"
	CodeNotFound     = "not_found"
	CodeBusy         = "busy"
	CodeFollowers    = "too_many_followers"
	CodeStopping     = "stopping"
	CodeUnsupported  = "unsupported"
	CodeTooExpensive = "too_expensive"
)

// Error holds an answer of the server other than a success: an error or a redirect.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is the API's code of the error; empty if something other than the API answered, such as
	// a proxy.
	Code string
	// Message is one line.
	Message string
	// RetryAfter is how long the server asks to wait; zero if it does not say.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Message }

// NotReady reports whether the server, or a proxy before it, cannot answer now but may soon.
func (e *Error) NotReady() bool {
	if e.Code == CodeTooExpensive {
		return false // the same search would cost as much again
	}
	return e.Status >= http.StatusInternalServerError && e.Status != http.StatusNotImplemented || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// UnreachableError says that no connection could be made.
type UnreachableError struct {
	// URL is that of the server, without secrets.
	URL string
	Err error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("cannot reach %s: %v", e.URL, e.Err) }

func (e *UnreachableError) Unwrap() error { return e.Err }

// LostError says that the connection broke before the answer was at its end.
type LostError struct{ Err error }

func (e *LostError) Error() string { return fmt.Sprintf("connection lost: %v", e.Err) }

func (e *LostError) Unwrap() error { return e.Err }

// EndedError says that the server ended an answer early. Reason is the reason of its last record.
type EndedError struct{ Reason string }

func (e *EndedError) Error() string {
	switch e.Reason {
	case "stopping":
		return "the logger is stopping"
	case "storage_away":
		return "the logger lost its storage"
	case CodeTooExpensive:
		return "the logger gave the search up"
	default:
		return "the logger ended it: " + e.Reason
	}
}

// HasCode reports whether the error is an [Error] with that code.
func HasCode(err error, code string) bool {
	var answer *Error
	return errors.As(err, &answer) && answer.Code == code
}

// maxErrorBody bounds how much of an error's body is read.
const maxErrorBody = 64 << 10

// errorOf makes an error of an answer that is no success.
func errorOf(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(min(seconds, 3600)) * time.Second
	}
	if location := resp.Header.Get("Location"); location != "" && resp.StatusCode < http.StatusBadRequest {
		e.Message = fmt.Sprintf("%s: it points to %s", resp.Status, oneLine(location))
		return e
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what there is of it
	var answer struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(body, &answer) == nil && answer.Error.Code != "" {
		e.Code, e.Message = answer.Error.Code, oneLine(answer.Error.Message)
		return e
	}
	e.Message = resp.Status
	if text := oneLine(string(body)); text != "" && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		e.Message += ": " + text
	}
	return e
}

// oneLine turns what a server sent into a line that is safe to print.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}
