package api

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// pastStorage keeps one log per app and all that it ever was.
type pastStorage struct {
	lines    int
	pageSize int  // bytes of messages in a page; 0 for no bound
	silent   bool // does not say what is oldest
	deaf     bool // knows nothing of what the caller has
	numbered bool // tells its version

	mu     sync.Mutex
	epochs uint64
	logs   map[string]*pastLog
	reads  []sdk.ReadOptions
	sent   int // entries
	// changes counts them.
	changes uint64
}

// Version is that of a sole writer.
func (s *pastStorage) Version() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.numbered {
		return 0
	}
	return s.changes + 1
}

type pastLog struct {
	epoch   uint64
	first   uint64
	entries []sdk.Entry
	past    []state
}

// state is what a log was like at a moment.
type state struct{ epoch, first, last uint64 }

func newPastStorage(lines int) *pastStorage {
	return &pastStorage{lines: lines, logs: map[string]*pastLog{}}
}

func (s *pastStorage) log(app string) *pastLog {
	l := s.logs[app]
	if l == nil {
		l = &pastLog{first: 1, past: []state{{0, 1, 0}}}
		s.logs[app] = l
	}
	return l
}

func (l *pastLog) last() uint64 { return l.first + uint64(len(l.entries)) - 1 }
func (l *pastLog) note()        { l.past = append(l.past, state{l.epoch, l.first, l.last()}) }

// append adds n entries with a text that tells where they are, so many bytes long.
func (s *pastStorage) append(app string, n, size int, mark string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	l := s.log(app)
	if l.epoch == 0 {
		s.epochs++
		l.epoch = s.epochs
	}
	for range n {
		at := time.Unix(1_500_000_000+int64(len(l.entries)%3), 0).UTC()
		text := fmt.Sprintf("%d %d %s", l.epoch, l.last()+1, mark)
		l.entries = append(l.entries, sdk.Entry{Time: at, Source: sdk.SourceApp, Message: text + strings.Repeat(".", max(0, size-len(text)))})
	}
	if over := len(l.entries) - s.lines; over > 0 {
		l.entries, l.first = l.entries[over:], l.first+uint64(over)
	}
	l.note()
}

// evict drops the oldest entries, as a budget for all apps does.
func (s *pastStorage) evict(app string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	l := s.log(app)
	n = min(n, len(l.entries))
	l.entries, l.first = l.entries[n:], l.first+uint64(n)
	l.note()
}

// goBack loses the newest entries within the epoch, against the contract: so does a
// backend that is restored from a copy.
func (s *pastStorage) goBack(app string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	l := s.log(app)
	l.entries = l.entries[:max(0, len(l.entries)-n)]
	l.note()
}

func (s *pastStorage) Delete(_ context.Context, app string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	l := s.log(app)
	l.epoch, l.first, l.entries = 0, 1, nil
	l.note()
	return nil
}

func (s *pastStorage) Read(ctx context.Context, o sdk.ReadOptions) (sdk.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, o)
	l := s.log(o.App)
	if l.epoch == 0 {
		return sdk.Page{First: 1}, ctx.Err()
	}
	limit := len(l.entries)
	if o.Limit >= 0 {
		limit = min(limit, o.Limit)
	}
	from := len(l.entries) - limit
	to := len(l.entries)
	switch {
	case o.After.Epoch == l.epoch:
		from = min(len(l.entries), int(max(o.After.Position+1, l.first)-l.first))
		to = min(len(l.entries), from+limit)
	case !o.After.IsZero():
		from, to = 0, limit
	case o.Known.Epoch == l.epoch && o.Known.Position >= l.first && !s.deaf:
		from = max(from, min(len(l.entries), int(o.Known.Position-l.first)+1))
	}
	page := sdk.Page{Epoch: l.epoch, First: l.first + uint64(from), Oldest: l.first}
	if s.silent {
		page.Oldest = 0
	}
	for size := 0; from < to; from++ {
		if size += len(l.entries[from].Message); s.pageSize > 0 && size > s.pageSize && len(page.Entries) > 0 {
			page.More = true
			break
		}
		page.Entries = append(page.Entries, l.entries[from])
	}
	s.sent += len(page.Entries)
	return page, ctx.Err()
}

// moment is the number of states that the app's log has had.
func (s *pastStorage) moment(app string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.log(app).past)
}

// possible says whether the body is the newest lines as they were at one of the moments.
func (s *pastStorage) possible(app string, limit int, body string, from, to int) bool {
	s.mu.Lock()
	past := s.log(app).past[from-1 : to]
	s.mu.Unlock()
	var got state
	for i, line := range strings.Split(strings.TrimSuffix(body, "\n"), "\n") {
		if body == "" {
			break
		}
		var epoch, position uint64
		_, text, _ := strings.Cut(line, "]: ")
		if _, err := fmt.Sscanf(text, "%d %d", &epoch, &position); err != nil {
			return false
		}
		if i == 0 {
			got = state{epoch, position, position - 1}
		}
		if epoch != got.epoch || position != got.last+1 {
			return false
		}
		got.last = position
	}
	for _, was := range past {
		first := was.first
		if limit >= 0 && was.last >= uint64(limit) {
			first = max(first, was.last-uint64(limit)+1)
		}
		if first > was.last && body == "" || body != "" && got == (state{was.epoch, first, was.last}) {
			return true
		}
	}
	return false
}
