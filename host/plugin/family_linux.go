package plugin

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// family tracks the processes that a plugin's process has started, directly or through others, even
// in sessions of their own, which the end of the process group does not reach. A process is found
// by its parents as long as these live, so [family.look] is called once in a while. A process that
// lost its parents before that is found by the environment variable that it inherited. A process
// that lost its parents at once, and that variable too, is not found.
type family struct {
	// mark is a variable of the environment that no other process has, as NAME=VALUE.
	mark string

	mu    sync.Mutex
	known map[int]uint64 // when each process started, which tells it from a later one of that id
}

const (
	// mostKnown bounds how many processes of a family are noted.
	mostKnown = 1000
	// endRounds bounds the looks for a family's remaining processes, and endPause is the time
	// between two looks. One look is not enough: a process that is being ended may just be starting
	// another.
	endRounds = 50
	endPause  = 4 * time.Millisecond
)

// look notes the processes below the process with that id.
func (f *family) look(pid int) {
	if pid == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for known, started := range f.known {
		if now, ok := startOf(known); !ok || now != started {
			delete(f.known, known)
		}
	}
	f.note(pid)
}

func (f *family) note(pid int) {
	for _, child := range childrenOf(pid) {
		if f.known == nil {
			f.known = map[int]uint64{}
		}
		started, ok := startOf(child)
		if _, known := f.known[child]; ok && (known || len(f.known) < mostKnown) {
			f.known[child] = started
			f.note(child)
		}
	}
}

// end ends all that is left of the family, whose first process has ended.
func (f *family) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range endRounds {
		for pid := range f.known {
			f.note(pid)
		}
		f.noteMarked()
		left := 0
		for pid, started := range f.known {
			if kill(pid, started) {
				left++
			} else {
				delete(f.known, pid)
			}
		}
		if left == 0 {
			return
		}
		time.Sleep(endPause)
	}
}

// noteMarked notes every process that has the mark in its environment.
func (f *family) noteMarked() {
	paths, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, err := readSome(path)
		if err != nil || !bytes.Contains(environ, []byte(f.mark)) {
			continue
		}
		if started, ok := startOf(pid); ok {
			if f.known == nil {
				f.known = map[int]uint64{}
			}
			f.known[pid] = started
		}
	}
}

// kill ends the process that has had the id since then, and reports whether there was one. A
// process that only waits to be reaped does not count; it is reaped if it is ours.
func kill(pid int, started uint64) bool {
	fd, err := unix.PidfdOpen(pid, 0) // so that the id cannot become another's meanwhile
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	if now, ok := startOf(pid); !ok || now != started {
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		return false
	}
	return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}

// startOf returns when the process started, in ticks since the system did. A process that only
// waits to be reaped has ended.
func startOf(pid int) (ticks uint64, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The second field, the program's name in parentheses, may have anything in it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	ticks, err = strconv.ParseUint(fields[19], 10, 64)
	return ticks, err == nil
}

// childrenOf returns the processes that the threads of a process started.
func childrenOf(pid int) (children []int) {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range paths {
		list, _ := readSome(path) // a thread that has just ended has none
		for field := range strings.FieldsSeq(string(list)) {
			if child, err := strconv.Atoi(field); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

// readSome reads a file of the system, up to a sensible size.
func readSome(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}
