package sdk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The errors that have an identity. It survives the process boundary: errors.Is works on both
// sides. It also decides the HTTP status of a request that fails with the error.
var (
	// ErrInvalid is returned for a call that can never succeed as it is: a cursor
	// that nobody gave out, an entry that the storage refuses, a bad setting.
	ErrInvalid = errors.New("invalid")
	// ErrTooExpensive is returned for a request that would take more memory or time than one
	// request may. It wraps [ErrInvalid].
	ErrTooExpensive = fmt.Errorf("too expensive: %w", ErrInvalid)
	// ErrUnavailable is returned when the backend, or the plugin itself, cannot
	// answer now. The same call may succeed later.
	ErrUnavailable = errors.New("unavailable")
	// ErrEnded is returned for a call whose plugin ended before it answered: the call may be the
	// cause. It wraps ErrUnavailable.
	ErrEnded = fmt.Errorf("the plugin ended: %w", ErrUnavailable)
	// ErrFull is returned when the backend refuses writes for lack of room.
	ErrFull = errors.New("full")
	// ErrStopping is the outcome of receipts that are open when the host stops.
	ErrStopping = errors.New("stopping")
	// ErrUnsupported is returned for an optional call that the plugin lacks.
	ErrUnsupported = errors.New("unsupported")
	// ErrContract is returned to a host for an answer that no plugin may give: it is malformed,
	// or larger than what was asked for.
	ErrContract = errors.New("against the plugin contract")
	// ErrPanic is returned for a call whose handler panicked in the plugin.
	ErrPanic = errors.New("plugin panicked")
)

// errorTable maps each sentinel to its gRPC code and HTTP status. Each code stands once, so that it
// leads back to one sentinel.
var errorTable = []struct {
	err    error
	code   codes.Code
	status int
}{
	{ErrTooExpensive, codes.OutOfRange, http.StatusBadRequest}, // before ErrInvalid, which it wraps
	{ErrInvalid, codes.InvalidArgument, http.StatusBadRequest},
	{ErrUnavailable, codes.Unavailable, http.StatusServiceUnavailable},
	{ErrFull, codes.ResourceExhausted, http.StatusServiceUnavailable},
	{ErrStopping, codes.Aborted, http.StatusServiceUnavailable},
	{ErrUnsupported, codes.Unimplemented, http.StatusNotImplemented},
	{ErrPanic, codes.Internal, http.StatusServiceUnavailable},
	{context.DeadlineExceeded, codes.DeadlineExceeded, http.StatusServiceUnavailable},
	{context.Canceled, codes.Canceled, http.StatusServiceUnavailable},
}

// HTTPStatus returns the status of a request that fails with err. The error that err wraps decides
// it. If err wraps none of this package's errors, the status is 503, as for a storage that cannot
// answer.
func HTTPStatus(err error) int {
	for _, row := range errorTable {
		if errors.Is(err, row.err) {
			return row.status
		}
	}
	return http.StatusServiceUnavailable
}

// code returns the gRPC code of err: OK for nil, Unknown for an error without identity.
func code(err error) codes.Code {
	if err == nil {
		return codes.OK
	}
	for _, row := range errorTable {
		if errors.Is(err, row.err) {
			return row.code
		}
	}
	return codes.Unknown
}

// toStatus turns an error of an implementation into what gRPC carries.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(code(err), OneLine(err.Error()))
}

// maxLine bounds the text of an error that crosses the process boundary, in bytes. A longer text is
// cut, and ends in ellipsis.
const (
	maxLine  = 1000
	ellipsis = " …"
)

// OneLine makes one line of a text, of at most 1,000 bytes: each run of white space and control
// characters becomes a space, and invalid UTF-8 becomes U+FFFD. A plugin's errors and reasons cross
// the process boundary in this form, since hosts put them into lines of a log and of an answer.
func OneLine(text string) string {
	cut := len(text) > maxLine
	if cut {
		text = text[:maxLine-len(ellipsis)]
	}
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if cut {
		text += ellipsis
	}
	return text
}

// fromStatus rebuilds the error that the other side had, for a call made with ctx. If gRPC
// cancelled the call and ctx has not ended, the connection was lost.
func fromStatus(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	if s.Code() == codes.Canceled && ctx.Err() == nil {
		return remoteError(codes.Unavailable, s.Message())
	}
	return remoteError(s.Code(), s.Message())
}

// remoteError returns an error that reads as the remote one did and wraps its sentinel.
func remoteError(c codes.Code, text string) error {
	if c == codes.OK {
		return nil
	}
	text = OneLine(text) // the plugin may have another SDK
	for _, row := range errorTable {
		if row.code == c {
			return &taggedError{text: text, sentinel: row.err}
		}
	}
	return fmt.Errorf("%s: %s", c, text)
}

// Refusef makes an error that wraps [ErrInvalid]. Its Error is the formatted text, without that
// of the wrapped error: one line that names the culprit and says what is accepted.
func Refusef(format string, args ...any) error {
	return &taggedError{text: fmt.Sprintf(format, args...), sentinel: ErrInvalid}
}

func tooExpensive(format string, args ...any) error {
	return &taggedError{text: fmt.Sprintf(format, args...), sentinel: ErrTooExpensive}
}

// taggedError reads as its text alone. errors.Is finds its sentinel.
type taggedError struct {
	text     string
	sentinel error
}

func (e *taggedError) Error() string {
	if e.text == "" {
		return e.sentinel.Error()
	}
	return e.text
}

// Unwrap returns the sentinel.
func (e *taggedError) Unwrap() error { return e.sentinel }
