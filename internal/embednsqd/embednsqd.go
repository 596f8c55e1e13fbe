// Package embednsqd runs a real nsqd inside the process. `logger dev` uses it, because it must work
// on a machine without nsqd, and so does package nsqtest.
package embednsqd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/nsqio/nsq/nsqd"
)

// freeLoopback lets the kernel choose a port that nobody outside can reach.
const freeLoopback = "127.0.0.1:0"

// Options tells where the nsqd listens and keeps its files. The zero value stands for free loopback
// ports and a private folder.
type Options struct {
	// TCPAddress accepts consumers and producers; empty means a free loopback port.
	TCPAddress string
	// HTTPAddress accepts producers and administration; empty means a free loopback port.
	HTTPAddress string
	// DataPath is the folder of the queues that do not fit in memory. It must exist, and stays
	// after a stop. Empty means a private folder, which Stop removes.
	DataPath string
	// Log receives nsqd's log lines, from several goroutines; nil drops them.
	Log func(level slog.Level, line string)
	// Tune, if set, may change nsqd's options last.
	Tune func(*nsqd.Options)
}

// Server runs one nsqd. It listens from New on, and serves while Run runs.
type Server struct {
	nsqd    *nsqd.NSQD
	private string // the folder to remove, if New made it

	mu      sync.Mutex
	ran     bool
	main    chan error // receives nsqd's own end, once Run has started it
	stopped sync.Once
	stopErr error
}

// New binds the addresses and opens the data folder. A caller that does not call Run calls Stop.
func New(o Options) (_ *Server, err error) {
	s := &Server{main: make(chan error, 1)}
	if o.DataPath == "" {
		s.private, err = os.MkdirTemp("", "logger-nsqd-")
		if err != nil {
			return nil, fmt.Errorf("folder for nsqd's queues: %w", err)
		}
		o.DataPath = s.private
	}
	opts := nsqd.NewOptions()
	opts.TCPAddress = orFree(o.TCPAddress)
	opts.HTTPAddress = orFree(o.HTTPAddress)
	opts.HTTPSAddress = ""
	opts.BroadcastAddress = "127.0.0.1"
	opts.DataPath = o.DataPath
	opts.Logger = lineLogger(o.Log)
	if o.Tune != nil {
		o.Tune(opts)
	}
	s.nsqd, err = nsqd.New(opts)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("nsqd on %s: %w", opts.TCPAddress, err), s.removePrivate())
	}
	return s, nil
}

// TCPAddr returns the address for consumers and producers, as host:port.
func (s *Server) TCPAddr() string { return s.nsqd.RealTCPAddr().String() }

// HTTPAddr returns the address of nsqd's HTTP API, as host:port.
func (s *Server) HTTPAddr() string { return s.nsqd.RealHTTPAddr().String() }

// NSQD returns the daemon itself, for publishing and statistics without a connection. Only the
// Server may stop it.
func (s *Server) NSQD() *nsqd.NSQD { return s.nsqd }

// Run serves until ctx ends or Stop is called, and then stops nsqd as Stop does. It restores what
// an earlier nsqd left in the data folder. Call it once.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.ran {
		s.mu.Unlock()
		return errors.New("this nsqd has run already")
	}
	s.ran = true
	if err := s.nsqd.LoadMetadata(); err != nil {
		s.mu.Unlock()
		return errors.Join(fmt.Errorf("restore nsqd's topics: %w", err), s.Stop())
	}
	ended := make(chan struct{})
	go func() { // ends with the nsqd
		s.main <- s.nsqd.Main()
		close(ended)
	}()
	s.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-ended:
	}
	return errors.Join(s.Stop(), <-s.main)
}

// Stop ends nsqd, which writes all queued messages and those in flight to the data folder. It
// removes that folder if it is private. It may be called more than once: every call waits for the
// end, and returns the same result.
func (s *Server) Stop() error {
	s.stopped.Do(func() {
		s.mu.Lock()
		s.ran = true // too late to run now
		s.mu.Unlock()
		s.nsqd.Exit()
		s.stopErr = s.removePrivate()
	})
	return s.stopErr
}

func (s *Server) removePrivate() error {
	if s.private == "" {
		return nil
	}
	if err := os.RemoveAll(s.private); err != nil {
		return fmt.Errorf("remove nsqd's folder: %w", err)
	}
	return nil
}

func orFree(addr string) string {
	if addr == "" {
		return freeLoopback
	}
	return addr
}

// lineLogger passes nsqd's lines on, each with the level that it begins with.
type lineLogger func(level slog.Level, line string)

// Output implements nsqd's interface of a logger.
func (l lineLogger) Output(_ int, line string) error {
	if l == nil {
		return nil
	}
	level, text, found := strings.Cut(line, ": ")
	if !found {
		level, text = "", line
	}
	switch level {
	case "DEBUG":
		l(slog.LevelDebug, text)
	case "INFO":
		l(slog.LevelInfo, text)
	case "WARNING":
		l(slog.LevelWarn, text)
	case "ERROR", "FATAL":
		l(slog.LevelError, text)
	default:
		l(slog.LevelInfo, line)
	}
	return nil
}
