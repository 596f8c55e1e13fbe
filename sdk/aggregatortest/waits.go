package aggregatortest

import (
	"sync"
	"time"
)

// waits bounds the time that all checks of one run together wait in vain. The first wait takes all
// of its time, and those that begin after it half of the patience in sum. Each gets a thirtieth of
// the patience at least, so that the checks of what works still pass.
type waits struct {
	mu     sync.Mutex
	inVain bool
	left   time.Duration // once a check has waited in vain
}

// patience returns how long the next wait for what must happen within d may take.
func (w *waits) patience(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.inVain {
		return d
	}
	return min(d, max(min(patience/10, w.left), patience/30))
}

// spent notes that a check waited in vain for so long.
func (w *waits) spent(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.inVain:
		w.inVain, w.left = true, patience/2
	case d <= patience/10: // else it began before the first ended
		w.left = max(0, w.left-d)
	}
}

// poll calls ok, every 2 ms, until it returns true or the time is up. It returns how long it
// waited in vain, or 0.
func (w *waits) poll(ok func() bool) time.Duration {
	patience := w.patience(patience)
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.spent(patience)
			return patience
		}
	}
	return 0
}
