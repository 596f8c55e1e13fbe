package host

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/deis/logger/host/api"
	"github.com/deis/logger/host/pipeline"
	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

const (
	// storageTimeout bounds how long one HTTP request waits for its turn and for the storage. On a
	// busy machine, the answer that reports the timeout still arrives within 3 s.
	storageTimeout = 2500 * time.Millisecond
	// appendTimeout bounds one try of one append.
	appendTimeout = 10 * time.Second
)

// Host holds the whole system except the plugins' processes. Make it with [New], and run it once
// with [Host.Run].
type Host struct {
	logger   hclog.Logger
	listener net.Listener
	parts    []part
	cleanups []func() // in the order of opening; run in reverse
	storage  *plugin.Supervisor
	plugins  []*plugin.Supervisor // their parts come first
	gate     *gate
	registry *prometheus.Registry
	trust    *plugin.Trust
	survey   *plugin.Survey
	limits   plugin.Limits
	orderly  bool // set when Run ends because ctx did
}

// part runs until its context ends.
type part struct {
	name string
	run  func(ctx context.Context) error
}

// New finds the plugins, binds the listener and builds the parts, but starts nothing. A failed New
// leaves nothing behind. lookup gives the environment from which the plugins' settings are read.
func New(ctx context.Context, opts Options, lookup func(env string) (string, bool), logger hclog.Logger) (_ *Host, err error) {
	h := &Host{logger: logger, gate: newGate(2)}
	defer func() {
		if err != nil {
			h.cleanUp()
		}
	}()
	catalog := plugin.NewCatalog(filepath.SplitList(opts.PluginPath)...)
	attachments, err := opts.Attachments()
	if err != nil {
		return nil, err
	}
	storageExe, storageAt, err := plugin.Find(catalog, attachments, sdk.StorageKind, opts.StorageAdapter)
	if err != nil {
		return nil, fmt.Errorf("STORAGE_ADAPTER=%.80q: %w", opts.StorageAdapter, err)
	}
	aggregatorExe, aggregatorAt, err := plugin.Find(catalog, attachments, sdk.AggregatorKind, opts.AggregatorType)
	if err != nil {
		return nil, fmt.Errorf("AGGREGATOR_TYPE=%.80q: %w", opts.AggregatorType, err)
	}
	selection, err := opts.selection()
	if err != nil {
		return nil, err
	}
	h.trust, err = plugin.NewTrust(opts.Checksums)
	if err != nil {
		return nil, err
	}
	h.limits = plugin.Limits{OpenFiles: opts.MaxOpenFiles, Memory: opts.MaxMemory}
	if err := h.limits.Check(); err != nil {
		return nil, err
	}
	h.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", opts.ListenAddr)
	if err != nil {
		return nil, fmt.Errorf("LOGGER_LISTEN_ADDR=%.80q: %w", opts.ListenAddr, err)
	}
	h.cleanups = append(h.cleanups, func() { _ = h.listener.Close() })
	dir, err := openRunDir(opts.RunDir, owner(opts), logger)
	if err != nil {
		return nil, err
	}
	h.cleanups = append(h.cleanups, func() { dir.Close(h.orderly) })

	h.survey = plugin.NewSurvey(catalog, h.pluginOptions(dir, logger))
	h.storage, err = h.supervise(storageExe, storageAt, dir, lookup)
	if err != nil {
		return nil, err
	}
	aggregator, err := h.supervise(aggregatorExe, aggregatorAt, dir, lookup)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	h.registry = registry
	registry.MustRegister(pluginCollector{h.plugins}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	storage := plugin.NewStorage(h.storage)
	measureReads(storage, registry)
	source := plugin.NewAggregator(aggregator, opts.StopTimeout)
	registry.MustRegister(newStorageCollector(storage, logger), newQueueCollector(source, logger))
	pipe := pipeline.New(pipeline.Options{
		Storage: storage, Logger: logger.Named("pipeline"), Registry: registry,
		MaxLineBytes: int(opts.MaxLineBytes), Selection: selection, AppendTimeout: appendTimeout,
	})
	hub, v1Options, err := tail(opts, storage, registry, logger)
	if err != nil {
		return nil, err
	}
	allowed, err := guard(opts, logger.Named("api"))
	if err != nil {
		return nil, err
	}
	if allowed.Tokens != nil {
		h.parts = append(h.parts, part{"tokens", allowed.Tokens.Run})
	}
	a := api.New(h.listener, api.Options{
		V1: v1Options, Page: opts.UI, Loki: opts.Loki, Guard: allowed, MaxConnections: opts.MaxConnections,
		Storage: storage, Registry: registry, Readiness: func() api.Readiness { return readiness(h.storage, aggregator) }, Logger: logger.Named("api"), StorageTimeout: storageTimeout,
		ControllerName: opts.ControllerName, MaxLineBytes: int(opts.MaxLineBytes),
		Metrics: promhttp.HandlerFor(expose(registry, h.plugins, logger), promhttp.HandlerOpts{}),
	})
	if opts.AdminAddr != "" {
		admin, err := newAdmin(ctx, opts.AdminAddr, logger.Named("admin"))
		if err != nil {
			return nil, fmt.Errorf("LOGGER_ADMIN_ADDR=%.80q: %w", opts.AdminAddr, err)
		}
		h.cleanups = append(h.cleanups, func() { _ = admin.listener.Close() })
		logger.Info("serving profiles", "addr", admin.listener.Addr().String())
		h.parts = append(h.parts, part{"admin", admin.run})
	}
	h.parts = append(h.parts,
		part{"survey of plugins", h.survey.Run},
		part{"run folder", func(ctx context.Context) error {
			if h.gate.wait(ctx); ctx.Err() == nil { // a mistyped setting must not cost state
				dir.only(storageExe.String(), aggregatorExe.String())
			}
			return dir.keepAlive(ctx, logger)
		}},
		part{"pipeline", pipe.Run},
		part{"aggregator", func(ctx context.Context) error {
			// The aggregator takes nothing before the storage has accepted its settings.
			if err := storage.Wait(ctx); err != nil {
				return nil // ctx ended, or the storage's supervisor did and reports why
			}
			// When the stop timeout is over, the pipeline gives back what is not stored, while the
			// aggregator still listens.
			defer context.AfterFunc(ctx, func() { time.AfterFunc(opts.StopTimeout, pipe.Stop) })()
			return source.Run(ctx, pipe.Deliver)
		}},
		part{"api", func(ctx context.Context) error {
			h.gate.wait(ctx)
			if ctx.Err() == nil {
				logger.Info("serving", "addr", h.Addr().String())
			}
			return a.Run(ctx)
		}},
		// Tails end when the hub does, so the hub stops before the API drains.
		part{"tails", hub.Run},
	)
	return h, nil
}

// owner returns the text that tells this host's run folder from others on the machine: only one
// host at a time has an address. It is empty if the host takes any free port, since its next start
// cannot be recognised.
func owner(opts Options) string {
	if _, port, err := net.SplitHostPort(opts.ListenAddr); err != nil || port == "0" {
		return ""
	}
	return opts.ListenAddr
}

// supervise adds the part that keeps a plugin running, or connected if the plugin is attached.
func (h *Host) supervise(
	exe plugin.Executable, at *plugin.Attachment, dir *runDir, lookup func(string) (string, bool),
) (*plugin.Supervisor, error) {
	opts := h.pluginOptions(dir, h.logger.Named(exe.String()))
	opts.Executable, opts.Lookup, opts.Attachment = exe, lookup, at
	opts.Validated = h.gate.arrive
	// While an aggregator works off a backlog, reads would otherwise wait for a processor.
	opts.Background = exe.Kind == sdk.AggregatorKind
	if at == nil {
		opts.Survey = h.survey
	}
	if at == nil || at.Debug { // otherwise the plugin may be on another machine
		state, err := dir.stateOf(exe.String())
		if err != nil {
			return nil, err
		}
		opts.StateDir = state
	}
	if at != nil && at.Debug {
		opts.Logger.Warn("ATTACHED FOR DEBUGGING: this plugin was not started by the logger, and is not ended when it does not answer",
			"address", at.Target, "pid", at.PID)
	}
	s := plugin.NewSupervisor(opts)
	h.plugins = append(h.plugins, s)
	h.parts = append(h.parts, part{exe.String(), s.Run})
	return s, nil
}

// pluginOptions returns the options with which every plugin is launched.
func (h *Host) pluginOptions(dir *runDir, logger hclog.Logger) plugin.Options {
	opts := plugin.DefaultOptions()
	opts.Trust, opts.Limits = h.trust, h.limits
	opts.RunDir, opts.Folders = dir.sockets(), dir.heal
	opts.Logger = logger
	return opts
}

// ReloadPlugins makes a plugin restart when its file changes. Call it before Run.
func (h *Host) ReloadPlugins() {
	for _, s := range h.plugins {
		s.Reload()
	}
}

// Addr returns the address of the HTTP API.
func (h *Host) Addr() net.Addr { return h.listener.Addr() }

// Run runs all parts until ctx ends or one of them fails, then stops them in this order: tails get
// their last record, the API drains, the aggregator finishes what is in flight, the pipeline ends,
// then the plugins' processes. Every step is bounded in time. It returns nil after a stop that ctx
// asked for.
func (h *Host) Run(ctx context.Context) error {
	defer h.cleanUp()
	ended := make(chan error, len(h.parts))
	type running struct {
		stop context.CancelFunc
		done chan struct{}
	}
	all := make([]running, len(h.parts))
	for i, p := range h.parts {
		partCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		all[i] = running{stop, make(chan struct{})}
		go func() {
			defer close(all[i].done)
			err := p.run(partCtx)
			if err != nil {
				err = fmt.Errorf("%s: %w", p.name, err)
			}
			ended <- err
		}()
	}
	var err error
	for left := len(h.parts); left > 0 && err == nil && ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case err = <-ended:
			left--
		}
	}
	h.logger.Info("stopping")
	for i := len(all) - 1; i >= len(h.plugins); i-- { // last started, first stopped
		all[i].stop()
		<-all[i].done
	}
	for i := range h.plugins { // these do not need each other
		all[i].stop()
	}
	for i := range h.plugins {
		<-all[i].done
	}
	h.logger.Info("stopped")
	h.orderly = err == nil
	return err
}

// cleanUp closes what New opened, last first.
func (h *Host) cleanUp() {
	for i := len(h.cleanups) - 1; i >= 0; i-- {
		h.cleanups[i]()
	}
	h.cleanups = nil
}
