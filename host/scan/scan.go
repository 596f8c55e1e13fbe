// Package scan reads the lines of several apps for one request, such as a query of Loki's API or a
// histogram. Everything that the request reads counts as one search. The search is given up once it
// has taken its share of processor time.
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
	// readsAtOnce is the number of apps that one request reads at once: one is read while another
	// is evaluated.
	readsAtOnce = 2
	// glanceBytes is the amount of lines that is evaluated between two looks at what the request
	// has taken. It is small, because a line may have 64 KiB and each may take long.
	glanceBytes = 16 << 10
	// maxWarnings bounds the warnings of one answer.
	maxWarnings = 20
)

// Scan reads for one request. It is safe for concurrent use.
type Scan struct {
	logs   *read.Logs
	search read.Search

	mu       sync.Mutex
	warnings []string
	existing int
}

// New begins to read for a request.
func New(logs *read.Logs) *Scan { return &Scan{logs: logs} }

// Each calls f for each app, for some at once. It ends with the first error.
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

// Read calls f with the lines that q asks for, one part after the other. The time that reading and
// f take counts as time of the search.
func (s *Scan) Read(ctx context.Context, q read.Query, f func([]sdk.Entry) error) error {
	q.Search = &s.search
	a, err := s.logs.Open(ctx, q)
	if err != nil {
		return err
	}
	defer a.Close()
	if a.Exists {
		s.mu.Lock()
		s.existing++
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
			s.warn(q.App, &b.Gaps[i])
		}
		for rest := b.Entries; len(rest) > 0; {
			n := Few(rest)
			if err := s.logs.Spend(&s.search, func() error { return f(rest[:n]) }); err != nil {
				return err
			}
			rest = rest[n:]
		}
	}
}

// Few returns how many of the entries have about glanceBytes, but at least one.
func Few(entries []sdk.Entry) int {
	bytes := 0
	for i := range entries {
		if bytes += 64 + len(entries[i].Message); bytes >= glanceBytes {
			return i + 1
		}
	}
	return len(entries)
}

// Logs returns how many of the apps read so far have a log.
func (s *Scan) Logs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.existing
}

// Warnings returns what the answer has to tell of lines that were lost while they were read.
func (s *Scan) Warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.warnings)
}

// warn keeps a warning about a gap.
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
