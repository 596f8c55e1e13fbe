// Package memory keeps the newest entries of each app in memory, under one budget for all apps.
// What it has acknowledged outlives its process.
//
// # Layout
//
// The store is an arena of 1 KiB blocks: a file of the host's state folder that is mapped into
// memory, or anonymous memory without one. Block 0 says what the file is. A directory block holds
// the slots of four apps. A slot has the app's name, its epoch, what it has stored of each writer,
// and where its run ends. The slot of an app with more runs, more than two writers or a long name
// goes on in a block of its own. All other blocks in use belong to a run. So an app takes 1.25 KiB
// at least.
//
// A log has up to eight runs, nearly always one. Each run is in the order of publishing, up to 100
// ms: an entry goes to the first run whose newest entry is at most that much newer. A run is a
// stream of encoded entries that only ever grows at its end; the payloads of its blocks, in their
// order, are the newest part of it. An entry may span blocks. The header of a block says which run
// it belongs to, its number in that run, where its first entry begins, and up to which position,
// publish time and time the run goes before it. So an entry is found by a search among headers and
// a walk inside one block, and there is no index of entries.
//
// The entry that leaves is the head of the run whose head was published first. Entries leave one by
// one when there are more than NUMBER_OF_LINES, and block by block when another log needs room and
// this one holds the most.
//
// # What a killed process leaves
//
// The kernel keeps all stores that the process completed, in their order. So each operation has one
// store, of eight aligned bytes, that makes it happen:
//
//   - append: the slot has two records of where the runs end, the last position, and the writer and
//     its sequence. The append writes the one that is not valid, and the store of slotTurn makes it
//     valid. What lies beyond the ends was never acknowledged. Recovery frees blocks that are
//     numbered beyond them, so that no two blocks of a run ever have the same number.
//   - an entry leaves: the run's head, in the slot. Then blocks are freed, the oldest
//     first, so that the rest still connects to the end.
//   - delete: the epoch, in the slot. Blocks of an epoch that no slot has are free.
//   - a slot goes on in a block from the store of slotWide on, and before a record says so.
//   - a block is freed by its header's first word, a slot by its name's.
//
// Checksums find whatever else may damage a file.
package memory

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/metrics"
)

// Settings has what an operator may choose.
type Settings struct {
	Lines  int       `env:"NUMBER_OF_LINES" default:"1000" min:"1" max:"10000000" doc:"lines kept of each app"`
	Budget sdk.Bytes `env:"LOGGER_MEMORY_MAX_BYTES" default:"256MiB" min:"1MiB" max:"256GiB" doc:"memory for the lines of all apps; when it is used up, the app that holds the most loses its oldest"`

	Retention sdk.Duration `env:"LOGGER_APP_RETENTION" default:"720h" min:"0" doc:"an app that got no line for so long is forgotten; 0: never"`
}

// fileName is the name of the arena's file in the state folder.
const fileName = "memory.arena"

// storage implements the store. One lock guards everything, and is held only briefly.
type storage struct {
	*metrics.Registry

	lines      uint64
	retention  time.Duration // 0: for ever
	logger     hclog.Logger
	now        func() time.Time
	reads      chan struct{} // has a token per large read
	stop       chan struct{} // closed by Close, so that what runs in the background ends
	background sync.WaitGroup

	mu     sync.RWMutex
	closed bool
	arena  *arena
	slots  []uint64 // places of free slots
	// directories counts the blocks that hold slots, or the rest of a slot.
	directories int
	logs        map[string]*log
	names       names
	shares      shares     // logs with blocks, by how many
	empty       *list.List // *log without blocks, the last emptied in front
	moves       uint64     // counts the appends that changed how many blocks a log has
	plan        plan       // of the append under way
	// entries is the number of entries that all logs keep, and arrived the sum of the logs' last
	// positions.
	entries, arrived uint64
	// version is the latest version that a log has got. It begins at random, so that versions of an
	// earlier process differ.
	version   uint64
	followers sdk.Followers
}

var (
	_ sdk.Storage   = (*storage)(nil)
	_ sdk.Follower  = (*storage)(nil)
	_ sdk.Versioner = (*storage)(nil)
	_ sdk.AppLister = (*storage)(nil)
	_ sdk.Exposer   = (*storage)(nil)
	_ io.Closer     = (*storage)(nil)
)

// Open makes the store: the one that an earlier process left in the state folder, or an empty one
// if there is none, or none that can be understood. Without a state folder the store is gone with
// the process. A folder in memory (tmpfs) is the right one: on a disk, the kernel keeps writing
// what changes.
//
// It fails with [sdk.ErrUnavailable] while another process has the store of the state folder, and
// with [sdk.ErrFull] when the folder has no room for even the smallest arena.
func Open(ctx context.Context, settings Settings, host sdk.Host) (sdk.Storage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if settings.Lines < 1 || settings.Budget < extentBytes {
		return nil, fmt.Errorf("settings %+v: want at least 1 line and %d bytes: %w", settings, extentBytes, sdk.ErrInvalid)
	}
	if settings.Retention < 0 {
		return nil, fmt.Errorf("a retention of %s: want 0, for ever, or more: %w", time.Duration(settings.Retention), sdk.ErrInvalid)
	}
	if host.Logger == nil {
		host.Logger = hclog.NewNullLogger()
	}
	size := int64(settings.Budget) / pageSize * pageSize
	var m *mapping
	var err error
	if host.StateDir == "" {
		m, err = mapAnonymous(size)
	} else {
		m, err = mapFile(filepath.Join(host.StateDir, fileName), size, host.Logger)
	}
	if err != nil {
		return nil, err
	}
	s, err := newStorage(m, settings.Lines, host.Logger)
	if err != nil {
		return nil, errors.Join(err, m.release())
	}
	if s.retention = time.Duration(settings.Retention); s.retention > 0 {
		s.background.Go(s.sweepOften)
	}
	return s, nil
}

// newStorage makes a store of what the mapping holds. If it succeeds, it owns the mapping.
func newStorage(m *mapping, lines int, logger hclog.Logger) (*storage, error) {
	opened := time.Now()
	s := &storage{
		Registry: metrics.New(),

		lines:  uint64(lines),
		logger: logger,
		// A clock that is set forward while the process runs must not make apps look quiet.
		now:     func() time.Time { return opened.Add(time.Since(opened)) },
		reads:   make(chan struct{}, largeReads),
		stop:    make(chan struct{}),
		arena:   newArena(m),
		logs:    make(map[string]*log),
		empty:   list.New(),
		version: newEpoch(),
	}
	if err := s.recover(); err != nil {
		return nil, err
	}
	s.measure()
	return s, nil
}

// Close gives the memory back. A file stays, for the next process.
func (s *storage) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.stop)
	s.followers.Wake(s.followers.Names()...)
	err := s.arena.mapping.release()
	s.mu.Unlock()
	s.background.Wait()
	return err
}

// Delete implements [sdk.Storage]. It keeps what is known of writers, so that a batch that was
// stored before it and is repeated after it stays deleted.
func (s *storage) Delete(ctx context.Context, app string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if l := s.logs[app]; l != nil && l.epoch != 0 {
		s.erase(l, departedDeleted)
		s.forget()
	}
	return nil
}

// nextVersion returns a version that no log has had; never 0.
func (s *storage) nextVersion() uint64 {
	if s.version++; s.version == 0 {
		s.version++
	}
	return s.version
}

var errClosed = fmt.Errorf("the storage is closed: %w", sdk.ErrUnavailable)
