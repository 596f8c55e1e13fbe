package v1

import (
	"context"
	"fmt"
	"net/http"

	"github.com/deis/logger/sdk"
)

// ErrBusy is the error of a read that had to wait for others, and could not.
var ErrBusy = fmt.Errorf("too many logs are read at once: %w", sdk.ErrUnavailable)

// Readers bounds what all who read logs together take of the host and of its storage.
type Readers interface {
	// Begin waits for the turn of one who reads a page: one of few lines waits for none
	// that reads a long log. It fails at once with [ErrBusy] if the wait would
	// be longer than ctx has left.
	Begin(ctx context.Context, few bool) (Reading, error)
}

// Reading is one answer, which holds a page at a time. The caller closes it, once or more.
type Reading interface {
	// Done says that a page was read and holds so many bytes until the next one is, and
	// ends the turn. It is false if there is no room for what began as few lines.
	Done(bytes int) bool
	// Again waits for a turn to read a further page.
	Again(ctx context.Context) error
	// Extend gives the client the time to take so many bytes more, if this answer
	// has a pace.
	Extend(control *http.ResponseController, bytes int) bool
	Close()
}

// unbound lets everyone read.
type unbound struct{}

func (unbound) Begin(context.Context, bool) (Reading, error) { return unbound{}, nil }
func (unbound) Done(int) bool                                { return true }
func (unbound) Again(context.Context) error                  { return nil }
func (unbound) Extend(*http.ResponseController, int) bool    { return false }
func (unbound) Close()                                       {}
