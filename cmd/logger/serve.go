package main

import (
	"context"
	"io"
	"os"
	"runtime/debug"

	"github.com/deis/logger/host"
)

// garbage bounds how much the heap may grow between two collections, in percent. Go's default of
// 100 takes more memory, since it counts stacks too, and saves no time.
const garbage = 70

// serve runs the logger until ctx ends.
func serve(ctx context.Context, stderr io.Writer) error {
	opts, err := host.LoadOptions(os.LookupEnv)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	logger := opts.Logger(stderr)
	defer heedLevelSignals(logger)()
	h, err := host.New(ctx, opts, os.LookupEnv, logger)
	if err != nil {
		return err
	}
	h.SetVersion(version)
	return h.Run(ctx)
}
