// Package testrun runs parts of the program beside a test, and keeps what they print.
package testrun

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"
)

// Start calls run in the background, until stop is called or the test ends: stop ends run's context
// and waits for its return. The test fails if run fails for another reason than that end.
func Start(tb testing.TB, run func(ctx context.Context) error) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			tb.Errorf("run: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	tb.Cleanup(stop)
	return stop
}

// WriteProgram writes an executable file. It can be run at once: no child of this process inherits
// the file while it is open for writing, which would make its start fail ("text file busy",
// ETXTBSY).
func WriteProgram(tb testing.TB, path, content string) {
	tb.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil { //nolint:gosec // it is to be executed
		tb.Fatal(err)
	}
}

// Output keeps what is printed, and can be read meanwhile.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements [io.Writer].
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// String returns all that was printed so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
