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
	// patience bounds how long reading a file may take: on a mount whose server is gone, it takes
	// for ever.
	patience = 2 * time.Second
)

// content holds what a file contained, or why it could not be read.
type content struct {
	bytes []byte
	err   error
}

// ReadFile returns the content of a regular file of at most 1 MiB. It fails if reading takes too
// long.
func ReadFile(path string) ([]byte, error) {
	select {
	case c := <-begin(path):
		return c.bytes, c.err
	case <-time.After(patience):
		return nil, fmt.Errorf("it was not read in %s: %w", patience, sdk.ErrUnavailable)
	}
}

// begin starts to read a file. The channel has room for the result, so a read that nobody waits for
// any more still ends once the system lets it.
func begin(path string) <-chan content {
	read := make(chan content, 1)
	go func() { read <- load(path) }()
	return read
}

func load(path string) (c content) {
	var info os.FileInfo
	if info, c.err = os.Stat(path); c.err != nil { // before it is opened: opening a FIFO blocks
		return c
	}
	switch {
	case !info.Mode().IsRegular():
		c.err = sdk.Refusef("it is no regular file (%s)", info.Mode().Type())
		return c
	case info.Size() > maxFile:
		c.err = sdk.Refusef("it has %d bytes, want at most %d", info.Size(), maxFile)
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
