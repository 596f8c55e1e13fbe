package render

import (
	"hash/fnv"
	"strings"

	"github.com/deis/logger/client"
)

// Colours by name, for templates and for what we print ourselves.
var colours = map[string]string{
	"bold": "\x1b[1m", "dim": "\x1b[2m", "red": "\x1b[31m", "green": "\x1b[32m", "yellow": "\x1b[33m", "blue": "\x1b[34m",
	"magenta": "\x1b[35m", "cyan": "\x1b[36m", "white": "\x1b[37m",
}

// podColours can be read on dark and on light ground. Red is left for what matters.
var podColours = []string{
	"\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m",
	"\x1b[1;36m", "\x1b[1;33m", "\x1b[1;32m", "\x1b[1;35m", "\x1b[1;34m",
}

const (
	controllerColour = "\x1b[1m"
	matchColour      = "\x1b[1;31m"
	dim              = "\x1b[2m"
)

// colourOf is that of a pod, the same each time and everywhere.
func colourOf(r *client.Record) string {
	if r.Source == "controller" {
		return controllerColour
	}
	name := r.Pod
	if name == "" {
		name = r.Process + "." + r.Release
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return podColours[h.Sum32()%uint32(len(podColours))]
}

// paint colours a text that has no colours of its own.
func paint(colour, s string) string {
	if s == "" {
		return s
	}
	return colour + s + reset
}

// highlight marks what the printer was told to mark. A line with a match loses its own
// colours: they could not be told from the mark.
func (p *Printer) highlight(line string) string {
	if p.opts.Highlight == nil || !p.opts.Colour {
		return line
	}
	plain := Clean(line, false)
	matches := p.opts.Highlight.FindAllStringIndex(plain, -1)
	if len(matches) == 0 {
		return line
	}
	var b strings.Builder
	end := 0
	for _, m := range matches {
		b.WriteString(plain[end:m[0]])
		b.WriteString(paint(matchColour, plain[m[0]:m[1]]))
		end = m[1]
	}
	b.WriteString(plain[end:])
	return b.String()
}
