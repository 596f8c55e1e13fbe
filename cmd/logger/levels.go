package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
)

// heedLevelSignals lets signals change the level of the log, until stop. SIGUSR1 makes it one step
// more verbose, and after trace sets the configured level. SIGUSR2 sets the configured level. The
// plugins follow within half a second.
func heedLevelSignals(logger hclog.Logger) (stop func()) {
	signals := make(chan os.Signal, 8) // each counts
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		configured := logger.GetLevel()
		for sig := range signals {
			from := logger.GetLevel()
			to := configured
			if sig == syscall.SIGUSR1 {
				to = moreVerbose(from, configured)
			}
			logger.SetLevel(to)
			logger.Log(max(hclog.Warn, from, to), "log level", "from", from.String(), "to", to.String(),
				"configured", configured.String(), "signal", sig.String())
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals) // after Stop nothing is sent any more
		<-ended
	}
}

// moreVerbose returns the next level, or the configured one after the last.
func moreVerbose(level, configured hclog.Level) hclog.Level {
	if level <= hclog.Trace {
		return configured
	}
	return level - 1
}
