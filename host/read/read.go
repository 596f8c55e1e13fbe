package read

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/sdk"
)

// Storage has the calls of a storage that [Logs] needs.
type Storage interface {
	Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error)
	Versions(ctx context.Context, apps []string) ([]uint64, error)
	App(ctx context.Context, app string) (sdk.AppInfo, error)
	Delete(ctx context.Context, app string) error
}

// Options configure [Logs].
type Options struct {
	Storage Storage
	// Timeout bounds how long a request waits for its turn, and for its first lines from the
	// storage. Each further page may take as long again.
	Timeout time.Duration
	// Registry gets the metrics; nil for none.
	Registry prometheus.Registerer
	// MaxLineBytes is the longest line, in bytes, that is joined of pieces; the rest is cut. 0 is
	// no limit.
	MaxLineBytes int
	// ControllerName is [Renderer.Controller].
	ControllerName string
}

const (
	// pageBytes is about what a page takes when it is rendered; a large entry makes it more.
	pageBytes = 5 << 18
	// fewLines bounds how many lines an answer may have that does not wait for long logs. As a rule
	// they are one page.
	fewLines = 1000
	// gatherBytes bounds the part of an answer that is read before its first byte is sent. A larger
	// answer is sent while it is read.
	gatherBytes = 8 << 20
	// smallBytes bounds what all answers of few lines hold together, and largeBytes what all others
	// do.
	smallBytes, largeBytes = 16 << 20, 32 << 20
	// sendBytes is the amount of text after which the client gets more time.
	sendBytes = 256 << 10
	// searchTime is the processor time that the storage may take to look for one answer's
	// lines with a filter.
	searchTime = 1500 * time.Millisecond
	// tries bounds how often an answer is begun. If the log still changes each time, the answer
	// fails.
	tries = 5
)

// ErrSearch is returned when a search was given up because it took too long.
var ErrSearch = fmt.Errorf("the search takes more than %s of a processor: ask for fewer lines, a shorter time, or a simpler expression: %w", searchTime, sdk.ErrUnavailable)

// Logs reads the logs of one storage for all requests, and bounds what they take together.
type Logs struct {
	opts     Options
	gather   int           // gatherBytes, except in tests
	fresh    time.Duration // freshFor, except in tests
	cache    cache
	versions versions

	smallTurns, largeTurns *turns // to read from the storage
	pageTurns              *turns // to read a further page
	smallBytes, largeBytes *Memory

	expensive prometheus.Counter
}

// New makes [Logs]. Nothing runs before the first request comes.
func New(opts Options) *Logs {
	processors := runtime.GOMAXPROCS(0)
	l := &Logs{
		opts:       opts,
		gather:     gatherBytes,
		fresh:      freshFor,
		smallTurns: newTurns(max(16, 2*processors)), smallBytes: newMemory(smallBytes),
		// One page is read at a time for each: more would not be faster.
		largeTurns: newTurns(max(2, processors/2)), largeBytes: newMemory(largeBytes),
		pageTurns: newTurns(max(2, processors/2)),
		expensive: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "logger_searches_given_up_total", Help: "Searches that were refused, or given up, because they would take too much.",
		}),
	}
	l.versions = versions{ask: opts.Storage.Versions, timeout: opts.Timeout}
	if opts.Registry != nil {
		opts.Registry.MustRegister(l.expensive)
	}
	return l
}

// Delete deletes the app's log. A delete that has begun goes on when its client leaves, since
// otherwise nobody would know what came of it.
func (l *Logs) Delete(ctx context.Context, app string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.opts.Timeout)
	defer cancel()
	defer l.versions.forget()
	return l.opts.Storage.Delete(ctx, app)
}

// Version returns the version of the app's log (see [sdk.Versioner]). The storage is asked after
// this call has begun.
func (l *Logs) Version(ctx context.Context, app string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	return l.versions.of(ctx, app, 0)
}

// These errors make an answer begin anew: errLong if there are more than few lines, errPieces if
// pages that were read may lack pieces of lines, and errMoved if pages do not fit together.
var (
	errLong   = errors.New("these are not few lines")
	errPieces = errors.New("there are pieces of lines")
	errMoved  = fmt.Errorf("the log changed while it was read: %w", sdk.ErrUnavailable)
)

// share holds one answer's share of [Logs]: its turn at the storage, and its memory.
type share struct {
	logs   *Logs
	few    bool
	end    func(done bool) // of the turn; nil without one
	hold   *Hold           // nil if it holds nothing yet
	search *Search         // the processor time it took so far; nil if that is not counted
	text   *sdk.Matcher    // the filter, if it matches texts; else nil
	// apart says that there are pieces of lines: so the host, and not the storage, matches texts,
	// once the pieces are joined.
	apart bool
	// omitMessages says that nobody needs the messages.
	omitMessages bool
}

// Search adds up the processor time that all answers to one request take to look for lines. It is
// safe for concurrent use.
type Search struct{ spent atomic.Int64 }

// over reports whether the request has used up its time.
func (s *Search) over() bool { return s.spent.Load() > int64(searchTime) }

// begin waits for the answer's turn and, unless it is of few lines, for the memory that it may
// take. Few lines never wait for a long log. begin fails at once with [ErrBusy] if the wait would
// be longer than ctx has left. The caller closes the share.
func (s *share) begin(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.logs.opts.Timeout)
	defer cancel()
	if s.few {
		s.end, err = s.logs.smallTurns.take(ctx)
		return err
	}
	if s.end, err = s.logs.largeTurns.take(ctx); err == nil {
		s.hold, err = s.logs.largeBytes.Hold(ctx, gatherBytes+pageBytes)
	}
	return err
}

// begun ends the turn, once the first page, or everything, is read. bytes is what the answer holds
// of it. begun fails with errLong if there is no room for an answer that began as few lines.
func (s *share) begun(bytes int) error {
	s.over(true)
	if !s.few {
		s.hold.Shrink(bytes)
		return nil
	}
	var ok bool
	if s.hold, ok = s.logs.smallBytes.try(bytes); !ok {
		return errLong
	}
	return nil
}

// over ends the turn.
func (s *share) over(done bool) {
	if s.end != nil {
		s.end(done)
		s.end = nil
	}
}

// Read reads a page, within the storage's timeout and the request's search time. Once a page has a
// piece of a line, Read reads it again without the filter on texts, which match applies then.
func (s *share) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	opts.OmitMessages = s.omitMessages
	if s.apart {
		opts.Filter = ofPieces(opts.Filter)
	}
	limited, cancel := context.WithTimeout(ctx, s.logs.opts.Timeout)
	defer cancel()
	if s.search == nil {
		return s.logs.opts.Storage.Read(limited, opts)
	}
	if s.search.over() {
		return sdk.Page{}, s.logs.giveUp()
	}
	began := time.Now()
	page, err := s.logs.opts.Storage.Read(limited, opts)
	if page.Work == 0 { // the storage does not say, or failed
		page.Work = time.Since(began)
	}
	s.search.spent.Add(int64(page.Work))
	if err == nil && s.text != nil && !s.apart && hasPieces(page.Entries) {
		s.apart = true
		return s.Read(ctx, opts)
	}
	return page, err
}

// match reports whether a line passes the filter, within the request's search time.
func (s *share) match(ctx context.Context, line *sdk.Entry) (bool, error) {
	if s.search.over() {
		return false, s.logs.giveUp()
	}
	whole := *line
	whole.Partial = false
	ok := false
	err := s.logs.Spend(s.search, func() (err error) {
		ok, err = s.text.Match(ctx, &whole)
		return err
	})
	return ok, err
}

// Spend calls look, which searches lines that the caller has read, and adds the processor time that
// it takes. It returns look's error, or [ErrSearch] if the request has used up its time.
func (l *Logs) Spend(s *Search, look func() error) error {
	work := sdk.MeasureWork()
	err := look()
	s.spent.Add(int64(work()))
	if err == nil && s.over() {
		err = l.giveUp()
	}
	return err
}

// giveUp counts a search that took too long, and returns its error.
func (l *Logs) giveUp() error {
	l.expensive.Inc()
	return ErrSearch
}

// patienceForTurn bounds the time that an answer that has begun waits for a further turn.
const patienceForTurn = 30 * time.Second

// again calls read in a turn for a further page. No one who waits for memory keeps such a turn, so
// an answer that is being sent gets on.
func (s *share) again(ctx context.Context, read func() error) error {
	asked := time.Now()
	wait, cancel := context.WithTimeout(ctx, patienceForTurn)
	defer cancel()
	end, err := s.logs.pageTurns.take(wait)
	if err != nil {
		return err
	}
	err = read()
	end(err == nil)
	if s.hold != nil {
		s.hold.paused(asked)
	}
	return err
}

// close gives everything back. It may be called more than once.
func (s *share) close() {
	s.over(false)
	if s.hold != nil {
		s.hold.Close()
	}
}

// extend gives the client the time to take so many more bytes. It returns false for an answer of
// few lines, or one that holds nothing: their clients have no pace to keep.
func (s *share) extend(control *http.ResponseController, bytes int) bool {
	if s.few || s.hold == nil {
		return false
	}
	s.hold.Extend(control, bytes)
	return true
}
