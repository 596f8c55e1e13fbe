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
	h, err := host.New(ctx, opts, os.LookupEnv, opts.Logger(stderr))
	if err != nil {
		return err
	}
	return h.Run(ctx)
}
