package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/deis/logger/sdk"
)

const (
	// largeAnswers is how many answers of more than one page may be held at once.
	// Such a one can be as large as all that is kept of an app.
	largeAnswers = 4
	// gatherTries is how often an answer is begun again because the log changed
	// under it.
	gatherTries = 5
	// sendBytes is how much is sent before the client gets more time.
	sendBytes = 256 << 10
)

// errMoved is the error of an answer whose pages do not fit together: entries that
// belong between them were pushed out, or the log was deleted.
var errMoved = errors.New("the log changed while it was read")

// gather reads and renders the newest entries of an app, whole: nothing is sent before
// all is here, so that an answer has no hole and a failure has a status. The caller
// calls release when it is done with the text.
func (a *API) gather(ctx context.Context, app string, limit int) (text []byte, release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, a.opts.StorageTimeout)
	defer cancel()
	release = func() {}
	for range gatherTries {
		page, err := a.opts.Storage.Read(ctx, sdk.ReadOptions{App: app, Limit: limit})
		if err != nil {
			return nil, nil, err
		}
		text = appendPage(text[:0], app, &page)
		if !page.More {
			return text, release, nil
		}
		select {
		case a.large <- struct{}{}:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("too many large answers at once: %w", sdk.ErrUnavailable)
		}
		text, err = a.rest(ctx, app, limit, page, text)
		if err == nil {
			return text, func() { <-a.large }, nil
		}
		<-a.large
		if !errors.Is(err, errMoved) {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("%w, again and again: %w", errMoved, sdk.ErrUnavailable)
}

// rest renders what follows the first page, up to where the log ended when that was
// read.
func (a *API) rest(ctx context.Context, app string, limit int, page sdk.Page, text []byte) ([]byte, error) {
	end, err := a.end(ctx, app)
	if err != nil {
		return nil, err
	}
	if last := page.First + uint64(max(limit, 0)) - 1; limit > 0 && last < end.Position {
		end.Position = last // it had that many at least
	}
	for page.More && page.End().Position < end.Position {
		after := page.End()
		left := end.Position - after.Position
		next, err := a.opts.Storage.Read(ctx, sdk.ReadOptions{App: app, Limit: int(left), After: after})
		switch {
		case err != nil:
			return nil, err
		case next.Epoch != page.Epoch || next.Epoch != end.Epoch || next.First != after.Position+1 || len(next.Entries) == 0:
			return nil, errMoved
		}
		page = next
		text = appendPage(text, app, &page)
	}
	return text, nil
}

// end is the place after the app's newest entry.
func (a *API) end(ctx context.Context, app string) (sdk.Cursor, error) {
	page, err := a.opts.Storage.Read(ctx, sdk.ReadOptions{App: app})
	return page.End(), err
}

func appendPage(text []byte, app string, page *sdk.Page) []byte {
	for i := range page.Entries {
		text = appendText(text, app, &page.Entries[i])
	}
	return text
}

// send writes the answer in parts, each of which has the whole write timeout: a slow
// client that goes on reading gets all, one that stopped is let go.
func send(w http.ResponseWriter, text []byte) {
	control := http.NewResponseController(w)
	for len(text) > 0 {
		part := text[:min(len(text), sendBytes)]
		// A writer without deadlines (a test's) has none to extend.
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
		//nolint:gosec // G705: plain text that no browser may sniff for another type
		if _, err := w.Write(part); err != nil {
			return // the client left
		}
		text = text[len(part):]
	}
}
