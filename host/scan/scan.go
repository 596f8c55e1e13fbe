// Package scan reads the lines of several apps for one request, such as a query of Loki's API or a
// histogram. All that the request reads counts as one search, which is given up once it took its
// share of a processor.
package scan

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

const (
	// readsAtOnce is how many apps one request reads at once: one is read while another is
	// evaluated.
	readsAtOnce = 2
	// glanceBytes is how much of lines is evaluated between two looks at what a request has taken:
	// one line may have 64 KiB, each of which takes long.
	glanceBytes = 16 << 10
	// maxWarnings bounds the warnings of one answer.
	maxWarnings = 20
)

// Scan is the reading of one request. It is safe for concurrent use.
type Scan struct {
	reader *read.Reader
	search read.Search

	mu       sync.Mutex
	warnings []string
	logs     int
}

// New begins the reading of a request.
func New(reader *read.Reader) *Scan { return &Scan{reader: reader} }

// Each calls f with each app, with some at once. It ends with the first error.
func (s *Scan) Each(ctx context.Context, apps []string, f func(ctx context.Context, app string) error) error {
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

// Read calls f with the entries that pass the filter, page by page: the newest lines by publishing,
// or all if lines is negative. F's time counts as part of the search.
func (s *Scan) Read(ctx context.Context, app string, lines int, filter sdk.Filter, f func([]sdk.Entry) error) error {
	a, err := s.reader.Open(ctx, read.Query{App: app, Lines: lines, Filter: filter, Search: &s.search})
	if err != nil {
		return err
	}
	defer a.Close()
	if a.Exists {
		s.mu.Lock()
		s.logs++
		s.mu.Unlock()
	}
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
		for rest := b.Entries; len(rest) > 0; {
			n := Few(rest)
			if err := s.reader.Spend(&s.search, func() error { return f(rest[:n]) }); err != nil {
				return err
			}
			rest = rest[n:]
		}
	}
}

// Few returns how many of the entries are about glanceBytes, at least one.
func Few(entries []sdk.Entry) int {
	bytes := 0
	for i := range entries {
		if bytes += 64 + len(entries[i].Message); bytes >= glanceBytes {
			return i + 1
		}
	}
	return len(entries)
}

// Logs returns how many of the apps that were read have a log.
func (s *Scan) Logs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs
}

// Warnings returns what the answer has to tell of lines that went missing while they were read.
func (s *Scan) Warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.warnings)
}

// warn keeps what is to be told of a gap.
func (s *Scan) warn(app string, g *read.Gap) {
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
