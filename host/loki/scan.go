package loki

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// readsAtOnce is how many apps one request reads at once: one is read while another is evaluated.
const readsAtOnce = 2

// scan is the reading of one request. It is safe for concurrent use.
type scan struct {
	api    *API
	search read.Search

	mu       sync.Mutex
	warnings []string
}

// each calls f with each app, with some at once. It ends with the first error.
func (s *scan) each(ctx context.Context, apps []string, f func(ctx context.Context, app string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for _, app := range apps {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return f(ctx, app) })
	}
	return g.Wait()
}

// read calls f with the entries that pass the filter, page by page: the newest lines by publishing,
// or all if lines is negative. F's time counts as part of the search.
func (s *scan) read(ctx context.Context, app string, lines int, filter sdk.Filter, f func([]sdk.Entry) error) error {
	a, err := s.api.opts.Reader.Open(ctx, read.Query{App: app, Lines: lines, Filter: filter, Search: &s.search})
	if err != nil {
		return err
	}
	defer a.Close()
	for {
		b, err := a.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		for i := range b.Gaps {
			s.warn(app, &b.Gaps[i])
		}
		for entries := range slices.Chunk(b.Entries, chunk) {
			if err := s.api.opts.Reader.Spend(&s.search, func() error { return f(entries) }); err != nil {
				return err
			}
		}
	}
}

// chunk is how many entries are evaluated between two looks at what a request has taken.
const chunk = 500

// maxWarnings bounds the warnings of one answer.
const maxWarnings = 20

// warn tells of lines that the log lost while it was read.
func (s *scan) warn(app string, g *read.Gap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.warnings) == maxWarnings {
		return
	}
	more := ""
	if !g.Exact {
		more = " or more"
	}
	s.warnings = append(s.warnings, fmt.Sprintf("%d%s lines of %s are missing: %s while they were read", g.Count, more, app, g.Reason))
}
