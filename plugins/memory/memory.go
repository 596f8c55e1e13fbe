// Package memory keeps the newest entries of each app in memory, under one budget
// for all of them, and in such a way that what it acknowledged outlives its process.
//
// # Layout
//
// The store is an arena of 4 KiB blocks: a file of the host's state folder that is
// mapped into memory, or anonymous memory without one. Block 0 says what the file
// is. A directory block holds slots, one for each app: its name, epoch, what it
// has stored of which writer, and where its log ends. All other blocks in use
// belong to a log. A log is a stream of encoded entries that only ever grows at its
// end; the payloads of the log's blocks, in their order, are the newest part of it.
// An entry may span blocks. The header of a block says whose it is, its number in
// that log, where in it the first entry begins, and that entry's position: so an
// entry is found by a search among headers and a walk inside one block, and there
// is no index of entries.
//
// Whole blocks leave at the front of a log: when all their entries are beyond
// NUMBER_OF_LINES, and when another log needs room and this one holds the most.
//
// # What a killed process leaves
//
// The kernel keeps every store that the process completed, in their order. So each
// operation has one store, of eight aligned bytes, that makes it happen:
//
//   - append: the end of the stream in the log's slot. What lies beyond the end was
//     never acknowledged, and neither were blocks numbered beyond it; recovery frees
//     these, so that no two blocks ever have the same number.
//   - what an append tells of its writer is noted in the slot before, with the end
//     that makes it true; recovery puts the note into the slot's table of writers.
//   - dropping entries at the front: the first position, in the slot. Then blocks
//     are freed, the oldest first, so that the rest still connects to the end.
//   - delete: the epoch, in the slot. Blocks of an epoch that no slot has are free.
//   - a block is freed by its header's first word, a slot by its name's.
//
// Checksums are for everything else that may befall a file.
package memory

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// Settings are what an operator may choose.
type Settings struct {
	Lines  int       `env:"NUMBER_OF_LINES" default:"1000" min:"1" max:"10000000" doc:"lines kept of each app"`
	Budget sdk.Bytes `env:"LOGGER_MEMORY_MAX_BYTES" default:"256MiB" min:"1MiB" max:"256GiB" doc:"memory for the lines of all apps; when it is used up, the app that holds the most loses its oldest"`
}

// fileName is the arena's in the state folder.
const fileName = "memory.arena"

// storage is the store. One lock guards all: what is done under it is short.
type storage struct {
	lines  uint64
	logger hclog.Logger
	reads  chan struct{} // has a token per large read

	mu     sync.RWMutex
	closed bool
	arena  *arena
	slots  []uint64 // places of free slots
	logs   index
	shares shares     // logs with blocks, by how many
	empty  *list.List // *log without blocks, the last emptied in front
	turns  uint64     // counts the appends that took blocks or gave some back
	frame  frame      // of the append under way
	// watching has who waits for an append to the app; see Follow.
	watching map[string][]chan struct{}
	// loaded is the sum of what lookUp loads, which the compiler else would leave out.
	loaded uint64
}

var (
	_ sdk.Storage     = (*storage)(nil)
	_ sdk.Follower    = (*storage)(nil)
	_ sdk.Accountant  = (*storage)(nil)
	_ sdk.SoleWriter  = (*storage)(nil)
	_ sdk.BatchCopier = (*storage)(nil)
	_ io.Closer       = (*storage)(nil)
)

// SoleWriter implements [sdk.SoleWriter]: the arena is this process's, and all that changes
// it is done under the lock by Append and Delete.
func (s *storage) SoleWriter() bool { return true }

// CopiesBatches implements [sdk.BatchCopier]: entries are encoded, and names cloned.
func (s *storage) CopiesBatches() bool { return true }

// log is one app's, as far as it is not in the arena.
type log struct {
	name string
	slot slot
	// epoch is 0 while there is no log: the app is new, or deleted. Then only what
	// the slot knows of writers counts.
	epoch uint64
	// end is the length of the stream that was ever written.
	end uint64
	// first is the position of the oldest entry that may be seen, next that of the
	// next one to come.
	first, next uint64
	blocks      []uint32 // oldest first, consecutive numbers
	turn        uint64   // of the last append that changed its blocks
	share       int      // index in storage.shares, -1 without blocks
	emptied     *list.Element
	// writer and sequence are of the last append, which the slot has too; the writer is 0
	// if there was none since the store was opened.
	writer, sequence uint64
}

// stored says whether a batch of the writer is not above the highest stored.
func (l *log) stored(writer, sequence uint64) bool {
	if l.writer == writer {
		return sequence <= l.sequence
	}
	return l.slot.stored(writer, sequence)
}

// Open makes the store: the one that an earlier process left in the state folder,
// or an empty one if there is none, or none that can be understood. Without a state
// folder it is gone with the process. A folder in memory (tmpfs) is the right one: on
// a disk, the kernel keeps writing what changes.
//
// It fails with [sdk.ErrUnavailable] while another process has the state folder's,
// and with [sdk.ErrFull] when the folder has no room for even the smallest arena.
func Open(ctx context.Context, settings Settings, host sdk.Host) (sdk.Storage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if settings.Lines < 1 || settings.Budget < extentBytes {
		return nil, fmt.Errorf("settings %+v: want at least 1 line and %d bytes: %w", settings, extentBytes, sdk.ErrInvalid)
	}
	if host.Logger == nil {
		host.Logger = hclog.NewNullLogger()
	}
	blocks := int64(settings.Budget) / blockSize
	var m *mapping
	var err error
	if host.StateDir == "" {
		m, err = mapAnonymous(blocks * blockSize)
	} else {
		m, err = mapFile(filepath.Join(host.StateDir, fileName), blocks*blockSize, host.Logger)
	}
	if err != nil {
		return nil, err
	}
	s, err := newStorage(m, settings.Lines, host.Logger)
	if err != nil {
		return nil, errors.Join(err, m.release())
	}
	return s, nil
}

// newStorage takes up what the mapping holds. The mapping is its own if it succeeds.
func newStorage(m *mapping, lines int, logger hclog.Logger) (*storage, error) {
	s := &storage{
		lines:  uint64(lines),
		logger: logger,
		reads:  make(chan struct{}, largeReads),
		arena:  newArena(m),
		logs:   newIndex(),
		empty:  list.New(),
	}
	if err := s.recover(); err != nil {
		return nil, err
	}
	return s, nil
}

// Close gives the memory back. A file stays, for the next process.
func (s *storage) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.wakeAll()
	return s.arena.mapping.release()
}

// Delete implements [sdk.Storage]. What is known of writers stays, so that a batch
// that was stored before and is repeated after it stays deleted.
func (s *storage) Delete(ctx context.Context, app string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if l := s.logs.find(app); l != nil {
		s.erase(l)
		s.forget()
	}
	return nil
}

// erase ends the log's epoch.
func (s *storage) erase(l *log) {
	s.depart(l)
	l.slot.store(slotEpoch, 0) // from here on it is deleted; recovery does the rest
	l.slot.reset()
	for _, b := range l.blocks {
		s.arena.release(b)
	}
	l.epoch, l.end, l.first, l.next, l.blocks = 0, 0, 1, 1, nil
	s.rank(l)
}

var errClosed = fmt.Errorf("the storage is closed: %w", sdk.ErrUnavailable)
