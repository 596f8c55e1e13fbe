package sdk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/deis/logger/sdk/pluginpb"
)

// Info says what a plugin is called and what it is.
type Info struct {
	// Name is the NAME of the executable logger-KIND-NAME.
	Name string
	// Version is the plugin's own, for people.
	Version string
	// Doc is one line that says what the plugin is.
	Doc string
	// Inspectable says that the plugin obeys [Host.Inspect]. Logger doctor opens only such plugins;
	// of others it only checks the settings.
	Inspectable bool
}

// Host holds what the host gives a plugin beside its settings.
type Host struct {
	// Logger writes to the host's log under the plugin's name.
	Logger hclog.Logger
	// StateDir is a private folder that outlives this process, for what must
	// survive its death. The host removes it when it stops for good. It is empty
	// when there is none (a plugin run by a test).
	StateDir string
	// Inspect says that the plugin is only inspected, while another process of it may be at
	// work. The plugin then creates nothing, writes nothing that lasts, and takes nothing that
	// the other process needs. The host calls only Check.
	Inspect bool
}

// implementation holds the Storage or Aggregator once Configure has opened it.
type implementation[T any] struct {
	// shared is set for a plugin that serves by itself, maybe to several hosts: no host shuts it
	// down, and all open it with the same settings. It is set before the server serves.
	shared bool

	mu     sync.RWMutex
	opened bool
	value  T
	// calls counts the calls inside the implementation, for Shutdown.
	calls sync.WaitGroup
}

// enter returns the implementation for one call; the caller calls leave when done.
func (i *implementation[T]) enter() (value T, leave func(), err error) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if !i.opened {
		return value, nil, status.Error(codes.Unavailable, "the plugin is not configured, or shut down")
	}
	i.calls.Add(1)
	return i.value, i.calls.Done, nil
}

func (i *implementation[T]) open(open func() (T, error)) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.opened {
		return fmt.Errorf("already configured: %w", ErrInvalid)
	}
	value, err := open()
	if err != nil {
		return err
	}
	i.value, i.opened = value, true
	return nil
}

func (i *implementation[T]) isOpen() bool {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.opened
}

func (i *implementation[T]) capabilities() (out []pluginpb.Capability) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if _, ok := any(i.value).(Follower); ok {
		out = append(out, pluginpb.Capability_CAPABILITY_FOLLOW)
	}
	if _, ok := any(i.value).(AppLister); ok {
		out = append(out, pluginpb.Capability_CAPABILITY_APPS)
	}
	if _, ok := any(i.value).(QueueLister); ok {
		out = append(out, pluginpb.Capability_CAPABILITY_QUEUES)
	}
	if _, ok := any(i.value).(Versioner); ok {
		out = append(out, pluginpb.Capability_CAPABILITY_VERSIONS)
	}
	if _, ok := any(i.value).(Exposer); ok {
		out = append(out, pluginpb.Capability_CAPABILITY_METRICS)
	}
	return out
}

// close stops new calls, waits for those under way, and closes the implementation.
func (i *implementation[T]) close(ctx context.Context) error {
	i.mu.Lock()
	value, opened := any(i.value), i.opened
	i.opened = false
	i.mu.Unlock()
	if !opened {
		return nil
	}
	idle := make(chan struct{})
	go func() { // ends when the last call returns, at the latest with the process
		i.calls.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		return fmt.Errorf("calls still under way: %w", ctx.Err())
	}
	if c, ok := value.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// pluginServer serves PluginService over an implementation.
type pluginServer[S, T any] struct {
	pluginpb.UnimplementedPluginServiceServer
	description *pluginpb.DescribeResponse
	impl        *implementation[T]
	logger      hclog.Logger
	openImpl    func(ctx context.Context, settings S, host Host) (T, error)
	shutDown    atomic.Bool

	stateDir string // the plugin's own, if it is shared

	mu     sync.Mutex        // held by one Configure at a time
	opened map[string]string // the settings that the implementation was opened with
}

// share makes the plugin one that serves by itself.
func (s *pluginServer[S, T]) share(stateDir string) { s.impl.shared, s.stateDir = true, stateDir }

func (s *pluginServer[S, T]) wasShutDown() bool { return s.shutDown.Load() }

func newPluginServer[S, T any](
	kind Kind, info Info, impl *implementation[T], logger hclog.Logger,
	open func(context.Context, S, Host) (T, error),
) (*pluginServer[S, T], error) {
	settings, err := DeclareSettings[S]()
	if err != nil {
		return nil, err
	}
	d := &pluginpb.DescribeResponse{
		Kind: pluginpb.Kind(kind), Name: info.Name, Version: info.Version, Doc: info.Doc,
		Inspectable: info.Inspectable,
	}
	for _, s := range settings {
		d.Settings = append(d.Settings, settingToWire(s))
	}
	return &pluginServer[S, T]{description: d, impl: impl, logger: logger, openImpl: open}, nil
}

func (s *pluginServer[S, T]) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return s.description, nil
}

func (s *pluginServer[S, T]) Configure(ctx context.Context, req *pluginpb.ConfigureRequest) (*pluginpb.ConfigureResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.sameSettings(req); err != nil {
		return nil, toStatus(err)
	}
	if level := hclog.LevelFromString(req.GetLogLevel()); level != hclog.NoLevel {
		s.logger.SetLevel(level)
	}
	if s.impl.isOpen() {
		return &pluginpb.ConfigureResponse{Capabilities: s.impl.capabilities()}, nil
	}
	if req.GetInspect() && (s.impl.shared || !s.description.GetInspectable()) {
		return nil, toStatus(fmt.Errorf("this plugin cannot be opened for a look alone: %w", ErrUnsupported))
	}
	settings, err := LoadSettings[S](func(env string) (string, bool) {
		v, ok := req.GetSettings()[env]
		return v, ok
	})
	if err != nil {
		return nil, toStatus(err)
	}
	err = s.impl.open(func() (T, error) {
		return s.openImpl(ctx, settings, Host{
			Logger: s.logger, StateDir: cmp.Or(s.stateDir, req.GetStateDir()), Inspect: req.GetInspect(),
		})
	})
	if err != nil {
		return nil, toStatus(err)
	}
	s.opened = req.GetSettings()
	return &pluginpb.ConfigureResponse{Capabilities: s.impl.capabilities()}, nil
}

// sameSettings refuses a host's settings if they differ from those that a shared plugin was opened
// with. A Configure without settings is about the log level alone.
func (s *pluginServer[S, T]) sameSettings(req *pluginpb.ConfigureRequest) error {
	if !s.impl.shared || !s.impl.isOpen() || len(req.GetSettings()) == 0 {
		return nil
	}
	var others []string
	for _, setting := range s.description.GetSettings() {
		if env := setting.GetEnv(); s.opened[env] != req.GetSettings()[env] {
			others = append(others, env)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return Refusef("this plugin was opened with other values of %s: want the same settings from every logger, or start the plugin again",
		strings.Join(others, ", "))
}

func (s *pluginServer[S, T]) Check(ctx context.Context, _ *pluginpb.CheckRequest) (*pluginpb.CheckResponse, error) {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	if c, ok := any(impl).(Checker); ok {
		if err := c.Check(ctx); err != nil {
			return &pluginpb.CheckResponse{Reason: OneLine(err.Error())}, nil
		}
	}
	return &pluginpb.CheckResponse{Ready: true}, nil
}

func (s *pluginServer[S, T]) Shutdown(ctx context.Context, _ *pluginpb.ShutdownRequest) (*pluginpb.ShutdownResponse, error) {
	if s.impl.shared {
		return &pluginpb.ShutdownResponse{}, nil // other hosts use it
	}
	s.shutDown.Store(true)
	err := s.impl.close(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		s.logger.Warn("close", "error", err)
	}
	return &pluginpb.ShutdownResponse{}, toStatus(err)
}
