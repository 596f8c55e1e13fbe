package api

import (
	"context"
	"net/http"
)

// lines is the text of an answer. Who got it releases it.
type lines interface {
	length() int
	send(w http.ResponseWriter)
	release()
}

var (
	_ lines = (*answer)(nil)
	_ lines = (*excerpt)(nil)
)

func (a *answer) length() int { return a.size }

// newest is the newest lines of an app: from the cache, once the storage said what of it
// holds, else all read from the storage.
func (a *API) newest(ctx context.Context, app string, limit int) (lines, error) {
	ctx, cancel := context.WithTimeout(ctx, a.opts.StorageTimeout)
	defer cancel()
	cached, err := a.cache.answer(ctx, app, limit)
	if err != nil {
		return nil, err
	}
	if cached != nil {
		return cached, nil
	}
	text, err := a.gather(ctx, app, limit)
	if err != nil {
		return nil, err // and not an answer that is nil
	}
	return text, nil
}
