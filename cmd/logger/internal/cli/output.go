package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/deis/logger/cmd/logger/internal/render"
)

// errEnough says that the limit of the output is reached.
var errEnough = errors.New("enough was written")

// output gathers data to print until there is nothing more for now. Notices go to another stream,
// at their place between the data.
type output struct {
	out     *bufio.Writer
	err     io.Writer
	dim     bool
	quiet   bool
	limit   int64 // most bytes; 0 for any number
	written int64
}

func newOutput(s *System, quiet, dim bool) *output {
	return &output{out: bufio.NewWriterSize(s.Stdout, 64<<10), err: s.Stderr, dim: dim, quiet: quiet}
}

func (o *output) write(b []byte) error {
	if left := o.limit - o.written; o.limit > 0 && int64(len(b)) >= left {
		if _, err := o.out.WriteString(render.CutBytes(string(b), int(left))); err != nil {
			return err
		}
		o.written = o.limit
		return errEnough
	}
	o.written += int64(len(b))
	_, err := o.out.Write(b)
	return err
}

func (o *output) flush() error { return o.out.Flush() }

// notice tells the user something that is no data.
func (o *output) notice(format string, args ...any) {
	if o.quiet {
		return
	}
	_ = o.flush() // its error comes again
	text := fmt.Sprintf(format, args...)
	if o.dim {
		text = "\x1b[2m" + text + "\x1b[0m"
	}
	_, _ = fmt.Fprintln(o.err, text)
}
