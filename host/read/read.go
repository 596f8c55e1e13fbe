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

// Storage is what a [Reader] needs of a storage.
type Storage interface {
	Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error)
	Versions(ctx context.Context, apps []string) ([]uint64, error)
	App(ctx context.Context, app string) (sdk.AppInfo, error)
	Delete(ctx context.Context, app string) error
}

// Options configure a [Reader].
type Options struct {
	Storage Storage
	// Timeout bounds the time until a request has its first lines: its turn, and the
	// storage. Each further page has it again.
	Timeout time.Duration
	// Registry gets the reader's metrics; nil for none.
	Registry prometheus.Registerer
	// MaxLineBytes is the longest line that is joined of pieces whole; 0 for any.
	MaxLineBytes int
	// ControllerName is as in [Renderer].
	ControllerName string
}

const (
	// A page is about pageBytes when it is rendered; a large entry makes it more.
	pageBytes = 5 << 18
	// fewLines is how many lines may be read without waiting for long logs: as a rule
	// they are one page.
	fewLines = 1000
	// gatherBytes is how much of an answer is read before its first byte is sent. A larger
	// one is sent while it is read.
	gatherBytes = 8 << 20
	// smallBytes and largeBytes bound what answers of one page hold, and larger ones.
	smallBytes, largeBytes = 16 << 20, 32 << 20
	// sendBytes is how much is sent before the client gets more time.
	sendBytes = 256 << 10
	// searchTime is the processor time that the storage may take to look for one answer's
	// lines with a filter.
	searchTime = 1500 * time.Millisecond
	// tries is how often an answer is begun again because the log began anew meanwhile.
	tries = 5
)

// ErrSearch is the error of a search that was given up because it took too long.
var ErrSearch = fmt.Errorf("the search takes more than %s of a processor: ask for fewer lines, a shorter time, or a simpler expression: %w", searchTime, sdk.ErrUnavailable)

// Reader reads the logs of one storage for all requests, and bounds what they take
// together.
type Reader struct {
	opts     Options
	gather   int           // gatherBytes, but for tests
	fresh    time.Duration // freshFor, but for tests
	cache    cache
	versions versions

	smallTurns, largeTurns *turns // to read from the storage
	pageTurns              *turns // ... a further page
	smallBytes, largeBytes *Memory

	expensive prometheus.Counter
}

// New makes a reader. Nothing runs before the first request comes.
func New(opts Options) *Reader {
	processors := runtime.GOMAXPROCS(0)
	r := &Reader{
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
	r.versions = versions{ask: opts.Storage.Versions, timeout: opts.Timeout}
	if opts.Registry != nil {
		opts.Registry.MustRegister(r.expensive)
	}
	return r
}

// Delete forgets the app's log. A delete that was begun is not given up when its client
// leaves, since nobody would know what came of it.
func (r *Reader) Delete(ctx context.Context, app string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.opts.Timeout)
	defer cancel()
	defer r.versions.forget()
	return r.opts.Storage.Delete(ctx, app)
}

// Version returns the version of the app's log as in [sdk.Versioner], asked for after this call.
func (r *Reader) Version(ctx context.Context, app string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	return r.versions.of(ctx, app, 0)
}

// Errors of an answer that has to begin anew: errLong where few lines are more, errPieces where
// pages that were read may lack pieces of lines, and errMoved where pages do not fit together.
var (
	errLong   = errors.New("these are not few lines")
	errPieces = errors.New("there are pieces of lines")
	errMoved  = fmt.Errorf("the log changed while it was read: %w", sdk.ErrUnavailable)
)

// share is one answer's share of the reader: its turn at the storage, and the memory that
// it holds.
type share struct {
	reader *Reader
	few    bool
	end    func(done bool) // of the turn; nil without one
	hold   *Hold           // nil if it holds nothing yet
	search *Search         // what it took of a processor so far; nil if that is not counted
	text   *sdk.Matcher    // the filter, if it looks at texts; else nil
	// apart says that there are pieces of lines, so that it is the host that looks at texts, once
	// the pieces are joined.
	apart bool
}

// Search adds up what looking for lines takes of a processor, for all answers to one request. It
// is safe for concurrent use.
type Search struct{ spent atomic.Int64 }

// over reports whether the request has had its share.
func (s *Search) over() bool { return s.spent.Load() > int64(searchTime) }

// begin waits for the turn of an answer, and, unless it is of few lines, for the memory that
// it may take: few lines wait for nobody who reads a long log. It fails at once with
// [ErrBusy] if the wait would be longer than ctx has left. The caller closes the share.
func (s *share) begin(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.reader.opts.Timeout)
	defer cancel()
	if s.few {
		s.end, err = s.reader.smallTurns.take(ctx)
		return err
	}
	if s.end, err = s.reader.largeTurns.take(ctx); err == nil {
		s.hold, err = s.reader.largeBytes.Hold(ctx, gatherBytes+pageBytes)
	}
	return err
}

// begun says that the first page was read, or all, and how many bytes that holds, and ends
// the turn. It fails with errLong if there is no room for what began as few lines.
func (s *share) begun(bytes int) error {
	s.over(true)
	if !s.few {
		s.hold.Shrink(bytes)
		return nil
	}
	var ok bool
	if s.hold, ok = s.reader.smallBytes.try(bytes); !ok {
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

// Read reads a page from the storage, which has its time, within that of a search. With the first
// piece of a line it leaves texts to match.
func (s *share) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	if s.apart {
		opts.Filter = ofPieces(opts.Filter)
	}
	limited, cancel := context.WithTimeout(ctx, s.reader.opts.Timeout)
	defer cancel()
	if s.search == nil {
		return s.reader.opts.Storage.Read(limited, opts)
	}
	if s.search.over() {
		return sdk.Page{}, s.reader.giveUp()
	}
	began := time.Now()
	page, err := s.reader.opts.Storage.Read(limited, opts)
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

// match reports whether a line passes the filter, within the time of a search.
func (s *share) match(ctx context.Context, line *sdk.Entry) (bool, error) {
	if s.search.over() {
		return false, s.reader.giveUp()
	}
	whole := *line
	whole.Partial = false
	ok := false
	err := s.reader.Spend(s.search, func() (err error) {
		ok, err = s.text.Match(ctx, &whole)
		return err
	})
	return ok, err
}

// Spend calls look, which looks through lines that the caller read, and adds the processor time
// that it takes. It fails with [ErrSearch] if the request has had its share, else as look does.
func (r *Reader) Spend(s *Search, look func() error) error {
	work := sdk.MeasureWork()
	err := look()
	s.spent.Add(int64(work()))
	if err == nil && s.over() {
		err = r.giveUp()
	}
	return err
}

// giveUp counts a search that took too long.
func (r *Reader) giveUp() error {
	r.expensive.Inc()
	return ErrSearch
}

// patienceForTurn is how long an answer that has begun waits for a further turn.
const patienceForTurn = 30 * time.Second

// again calls read in a turn for a further page. What is being sent must get on, so the
// turn is never kept by one who waits for memory.
func (s *share) again(ctx context.Context, read func() error) error {
	asked := time.Now()
	wait, cancel := context.WithTimeout(ctx, patienceForTurn)
	defer cancel()
	end, err := s.reader.pageTurns.take(wait)
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

// close gives everything back, once or more.
func (s *share) close() {
	s.over(false)
	if s.hold != nil {
		s.hold.Close()
	}
}

// extend gives the client the time to take so many bytes more. It is false for an answer of few
// lines, or that holds nothing, which has no pace.
func (s *share) extend(control *http.ResponseController, bytes int) bool {
	if s.few || s.hold == nil {
		return false
	}
	s.hold.Extend(control, bytes)
	return true
}
