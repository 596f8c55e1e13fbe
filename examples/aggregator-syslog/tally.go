package main

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// tally counts what goes wrong, and says so: the first time at once, and then every tallyInterval
// at most.
type tally struct {
	logger hclog.Logger
	what   string

	mu   sync.Mutex
	n    int // since told
	told time.Time
	why  error
}

const tallyInterval = 10 * time.Second

func (t *tally) add(n int, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n += n
	t.why = why
	if time.Since(t.told) >= tallyInterval {
		t.tell()
	}
}

// end says what was not told yet.
func (t *tally) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n > 0 {
		t.tell()
	}
}

func (t *tally) tell() {
	t.logger.Warn(t.what, "count", t.n, "error", t.why)
	t.n, t.told = 0, time.Now()
}
