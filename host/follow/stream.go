package follow

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// Storage has the calls of a storage that the hub needs.
type Storage interface {
	Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error)
	Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error
}

// readPage is the most entries of one read.
const readPage = 1000

// stream runs one app's follow of the storage, and holds the chain of pages that it yielded.
type stream struct {
	hub  *Hub
	app  string
	stop context.CancelFunc

	mu     sync.Mutex
	cursor sdk.Cursor // behind the chain
	newest time.Time  // when the newest entry of the chain was published
	tail   *link      // the newest link; the next one is appended to it
	// followers holds the followers in the chain. users counts those that use the stream; Hub.mu
	// guards it.
	followers map[*Follower]struct{}
	users     int
	// broken says that the follow of the storage failed since the last page.
	broken bool
	// life counts how often the log fell back to an earlier end of its epoch.
	life uint64
	// previous is the epoch before that of the newest page, and reason why it ended.
	previous uint64
	reason   read.Reason

	due bool // the waker has it; the waker's lock guards it
}

// link holds a page in the chain; the first link of a stream has none. A page without entries says
// that the log fell back to the page's end, or that what arrived is not kept, or, if it has no
// epoch, that the log is gone.
type link struct {
	span     *read.Span
	before   sdk.Cursor  // where the stream was before the page
	life     uint64      // of the stream
	previous uint64      // the epoch before the page's, if the stream saw it
	reason   read.Reason // why the previous epoch ended
	// entries and bytes count the chain up to here.
	entries, bytes uint64
	next           *link
}

func newStream(h *Hub, log *read.Log) *stream {
	s := &stream{
		hub: h, app: log.App(), cursor: log.End(), newest: log.Newest(), tail: &link{},
		followers: make(map[*Follower]struct{}), reason: read.Lost,
	}
	if s.cursor.IsZero() {
		s.cursor = sdk.Beginning()
	}
	return s
}

const (
	// retryFirst and retryMost bound the pause before a stream asks a storage again that is away.
	retryFirst = 20 * time.Millisecond
	retryMost  = 500 * time.Millisecond
	// pollFirst and pollMost bound the time between two looks at a storage that cannot be followed.
	pollFirst = 50 * time.Millisecond
	pollMost  = time.Second
)

// run follows the storage until ctx ends, and begins again whenever the storage was away.
func (s *stream) run(ctx context.Context) {
	wait := retryFirst
	follow := s.hub.opts.Storage.Follow
	for ctx.Err() == nil {
		err := follow(ctx, s.app, s.cursor, func(p sdk.Page) error {
			wait = retryFirst
			s.publish(p)
			return ctx.Err()
		})
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, sdk.ErrUnsupported) {
			follow = s.poll
			continue
		}
		s.hub.opts.Logger.Debug("the storage is not followed", "app", s.app, "error", err, "again in", wait)
		s.mu.Lock()
		s.broken = true
		s.mu.Unlock()
		sleep(ctx, wait)
		wait = min(2*wait, retryMost)
	}
}

// poll follows a storage that cannot be followed: it reads often while there is something new, and
// less and less often while there is not.
func (s *stream) poll(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wake := make(chan struct{})
	var found atomic.Bool
	go func() { // ends with ctx, at the latest when poll returns
		for wait := pollFirst; sleep(ctx, wait); {
			select {
			case wake <- struct{}{}:
			case <-ctx.Done():
			}
			if wait = min(2*wait, pollMost); found.Swap(false) {
				wait = pollFirst
			}
		}
	}()
	reads := boundedReads{s.hub.opts.Storage, s.hub.opts.ReadTimeout}
	return sdk.FollowByReading(ctx, reads, app, after, wake, func(p sdk.Page) error {
		found.Store(true)
		return yield(p)
	})
}

// boundedReads gives each read of a storage a time limit. Otherwise a read that never ends would
// end the stream of its app, whatever the next one finds.
type boundedReads struct {
	storage Storage
	limit   time.Duration
}

// Read calls the storage.
func (b boundedReads) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	return b.storage.Read(ctx, opts)
}

// sleep waits for so long. It returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// publish adds a page to the chain, and wakes those who wait for it.
func (s *stream) publish(p sdk.Page) {
	if s.add(p) {
		s.hub.waker.wake(s)
	}
}

// add adds a page to the chain, and moves on the followers that are too far behind. It returns
// false if the page has nothing new.
func (s *stream) add(p sdk.Page) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	rewound := false
	switch {
	case p.Epoch != s.cursor.Epoch:
		if s.cursor != sdk.Beginning() {
			s.previous, s.reason = s.cursor.Epoch, read.Deleted
			if s.broken {
				s.reason = read.Lost
			}
		}
		rewound = p.Epoch == 0 && s.cursor != sdk.Beginning() // it is gone: whatever comes is another
	case p.Last < s.cursor.Position:
		rewound = true
		s.life++
		s.cursor = p.End()
		s.hub.opts.Logger.Warn("a log ends before what was followed of it: the storage lost its newest lines", "app", s.app, "end", s.cursor)
	default: // a storage may repeat itself
		for len(p.Entries) > 0 && p.Entries[0].Position <= s.cursor.Position {
			p.Entries = p.Entries[1:]
		}
	}
	span := read.NewSpan(&p, &s.newest)
	end := span.End()
	if len(p.Entries) == 0 && !rewound && (end.Epoch != s.cursor.Epoch || end.Position <= s.cursor.Position) {
		if end.Epoch != s.cursor.Epoch {
			s.cursor, s.broken = sdk.Cursor{Epoch: end.Epoch}, false
		}
		return false
	}
	l := &link{
		span: span, before: s.cursor, life: s.life, previous: s.previous, reason: s.reason,
		entries: s.tail.entries + uint64(len(p.Entries)), bytes: s.tail.bytes + size(&p),
	}
	if s.broken, s.cursor = false, end; end.IsZero() {
		s.cursor = sdk.Beginning()
	}
	s.tail.next = l
	s.tail = l
	for f := range s.followers {
		f.keepUp(l)
	}
	return true
}

// waiting appends the followers that have not taken all of the chain.
func (s *stream) waiting(all []*Follower) []*Follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.followers {
		if f.link != s.tail {
			all = append(all, f)
		}
	}
	return all
}

// size returns about what a page's entries take in memory.
func size(p *sdk.Page) (n uint64) {
	for i := range p.Entries {
		n += 256 + uint64(len(p.Entries[i].Message))
	}
	return n
}
