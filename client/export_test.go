package client

import (
	"bufio"
	"io"
)

// NewStream reads an answer from anywhere.
func NewStream(body io.ReadCloser) *Stream {
	return &Stream{body: body, reader: bufio.NewReader(body)}
}
