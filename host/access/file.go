package access

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/deis/logger/sdk"
)

const (
	// maxFile bounds a file of secrets.
	maxFile = 1 << 20
	// patience is how long a file may take to be read: a mount whose server is gone takes
	// for ever.
	patience = 2 * time.Second
)

// content is what a file held at a time.
type content struct {
	bytes []byte
	err   error
}

// ReadFile returns what a regular file of at most 1 MiB holds. It fails if that takes too long.
func ReadFile(path string) ([]byte, error) {
	select {
	case c := <-begin(path):
		return c.bytes, c.err
	case <-time.After(patience):
		return nil, fmt.Errorf("it was not read in %s: %w", patience, sdk.ErrUnavailable)
	}
}

// begin starts to read a file. The channel has room, so that a read that nobody waits for any
// longer ends whenever the system lets it.
func begin(path string) <-chan content {
	read := make(chan content, 1)
	go func() { read <- load(path) }()
	return read
}

func load(path string) (c content) {
	var info os.FileInfo
	if info, c.err = os.Stat(path); c.err != nil { // before it is opened: opening a FIFO waits
		return c
	}
	switch {
	case !info.Mode().IsRegular():
		c.err = fmt.Errorf("it is no regular file (%s): %w", info.Mode().Type(), sdk.ErrInvalid)
		return c
	case info.Size() > maxFile:
		c.err = fmt.Errorf("it has %d bytes, want at most %d: %w", info.Size(), maxFile, sdk.ErrInvalid)
		return c
	}
	var f *os.File
	if f, c.err = os.Open(path); c.err != nil {
		return c
	}
	defer func() { _ = f.Close() }()
	c.bytes, c.err = io.ReadAll(io.LimitReader(f, maxFile))
	return c
}
