package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/host/pipeline"
	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/plugins/memory"
	"github.com/deis/logger/plugins/nsq"
	"github.com/deis/logger/plugins/redis"
	"github.com/deis/logger/sdk"
)

// playInProcess runs the pipeline, and calls the code of the storage plugin without a process
// between. It also calls the aggregator's code, or starts that plugin's process as the logger does.
// It only serves to measure.
func playInProcess(ctx context.Context, p part, ready func(any) error) (err error) {
	stopProfile, err := profile(p.CPUProfile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopProfile()) }()

	env := settings(p.Storage, p.NSQD, p.Redis)
	lookup := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr})
	storage, err := openStorage(ctx, p, lookup, sdk.Host{Logger: logger, StateDir: p.Dir})
	if err != nil {
		return err
	}
	if c, ok := storage.(io.Closer); ok {
		defer func() { err = errors.Join(err, c.Close()) }()
	}
	aggregator, stopAggregator, err := openAggregator(ctx, p, lookup, logger)
	if err != nil {
		return err
	}
	defer stopAggregator()
	selection := &pipeline.Selection{AppLabel: "app", ControllerContainer: "deis-controller"}
	if err := selection.Compile(); err != nil {
		return err
	}
	pipe := pipeline.New(pipeline.Options{
		Storage: alwaysThere{storage}, Logger: logger, Registry: prometheus.NewRegistry(),
		MaxLineBytes: 64 << 10, Selection: selection, AppendTimeout: 10 * time.Second,
	})
	ended := make(chan error, 2)
	pipeCtx, stopPipe := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPipe()
	go func() { ended <- pipe.Run(pipeCtx) }()
	go func() { ended <- aggregator.Run(ctx, pipe.Deliver) }()
	if err := ready(nil); err != nil {
		return err
	}
	err = <-ended // the aggregator ends with ctx
	stopPipe()
	return errors.Join(err, <-ended)
}

// openAggregator calls the nsq plugin's code, or starts the plugin.
func openAggregator(ctx context.Context, p part, lookup func(string) (string, bool), logger hclog.Logger) (_ sdk.Aggregator, stop func(), err error) {
	if p.Binaries == "" {
		a, err := open(ctx, lookup, sdk.Host{Logger: logger}, nsq.Open)
		return a, func() {}, err
	}
	exe, err := plugin.NewCatalog(filepath.Join(p.Binaries, "plugins")).Find(sdk.AggregatorKind, "nsq")
	if err != nil {
		return nil, nil, err
	}
	opts := plugin.DefaultOptions()
	opts.Executable, opts.Lookup, opts.RunDir, opts.StateDir, opts.Logger = exe, lookup, p.Dir, p.Dir, logger
	supervisor := plugin.NewSupervisor(opts)
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		_ = supervisor.Run(runCtx)
	}()
	if inst, err := supervisor.Wait(ctx); inst == nil {
		cancel()
		<-done
		return nil, nil, fmt.Errorf("nsq plugin: %w", err)
	}
	return plugin.NewAggregator(supervisor, time.Second), func() { cancel(); <-done }, nil
}

func openStorage(ctx context.Context, p part, lookup func(string) (string, bool), host sdk.Host) (sdk.Storage, error) {
	switch p.Storage {
	case "memory":
		return open(ctx, lookup, host, memory.Open)
	case "redis":
		return open(ctx, lookup, host, redis.Open)
	default:
		return nil, fmt.Errorf("no storage %q", p.Storage)
	}
}

// open does what the SDK does with the function that a plugin's main gives it.
func open[S, P any](ctx context.Context, lookup func(string) (string, bool), host sdk.Host, open func(context.Context, S, sdk.Host) (P, error)) (plugin P, err error) {
	s, err := sdk.LoadSettings[S](lookup)
	if err != nil {
		return plugin, err
	}
	return open(ctx, s, host)
}

// alwaysThere wraps a storage that is always ready.
type alwaysThere struct{ sdk.Storage }

// Wait implements [pipeline.Storage].
func (alwaysThere) Wait(ctx context.Context) error { return ctx.Err() }

// Ready implements [pipeline.Storage].
func (alwaysThere) Ready() bool { return true }

// profile writes a CPU profile until stop is called. Without a file it writes none.
func profile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
