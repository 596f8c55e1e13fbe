package harness

import (
	"os"
	"os/signal"
	"syscall"
)

// DefaultSignals gives child processes the default action of SIGHUP and SIGINT. A child inherits
// ignored signals, and these two are ignored under nohup and in a script's background. This process
// keeps ignoring the signals that it ignored.
func DefaultSignals() {
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig) // a signal with a handler is reset by exec
		}
	}
}
