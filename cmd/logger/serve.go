package main

import (
	"context"
	"io"
	"os"

	"github.com/deis/logger/host"
)

// serve runs the logger until ctx ends.
func serve(ctx context.Context, stderr io.Writer) error {
	opts, err := host.LoadOptions(os.LookupEnv)
	if err != nil {
		return err
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
