package render

import (
	"hash/fnv"
	"strings"

	"github.com/deis/logger/client"
)

// colours has colours by name, for templates and for what we print ourselves.
var colours = map[string]string{
	"bold": "\x1b[1m", "dim": "\x1b[2m", "red": "\x1b[31m", "green": "\x1b[32m", "yellow": "\x1b[33m", "blue": "\x1b[34m",
	"magenta": "\x1b[35m", "cyan": "\x1b[36m", "white": "\x1b[37m",
}

// podColours has colours that can be read on dark and on light ground. Red and yellow are left to
// levels.
var podColours = []string{
	"\x1b[36m", "\x1b[94m", "\x1b[32m", "\x1b[35m", "\x1b[34m",
	"\x1b[1;36m", "\x1b[95m", "\x1b[1;32m", "\x1b[1;35m", "\x1b[1;34m",
}

// levelColours paint the name of the app before a line. Lines of a usual level, and those that
// state none, show it in their pod's colour.
var levelColours = map[client.Level]string{
	"": "", client.LevelTrace: dim, client.LevelDebug: dim, client.LevelInfo: "",
	client.LevelWarn: "\x1b[33m", client.LevelError: "\x1b[1;31m", client.LevelFatal: "\x1b[1;7;31m",
}

const (
	controllerColour = "\x1b[1m"
	matchColour      = "\x1b[1;31m"
	dim              = "\x1b[2m"
)

// colourOf returns the colour of a record's pod, which is the same each time and everywhere.
func colourOf(r *client.Record) string {
	if r.Source == "controller" {
		return controllerColour
	}
	name := r.Pod
	if name == "" {
		name = r.Process + "." + r.Release
	}
	return podColour(name)
}

// podColour returns the colour of a pod or an app of that name.
func podColour(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return podColours[h.Sum32()%uint32(len(podColours))]
}

// paint colours a text that has no colours of its own.
func paint(colour, s string) string {
	if s == "" || colour == "" {
		return s
	}
	return colour + s + reset
}

// highlight marks the matches of Options.Highlight. own is the style at the beginning of the line,
// and becomes that at its end. A match is shown without the app's own colours, which come back
// after it.
func (p *Printer) highlight(line string, own *style) string {
	if p.opts.Highlight == nil && strings.IndexByte(line, esc) < 0 {
		return line
	}
	plain, sequences := part(line)
	var matches [][]int
	if p.opts.Highlight != nil {
		matches = p.opts.Highlight.FindAllStringIndex(plain, -1)
	}
	var b strings.Builder
	end := 0
	// until writes the text up to an offset, with its sequences if show is set.
	until := func(offset int, show bool) {
		for len(sequences) > 0 && sequences[0].offset <= offset {
			own.obey(sequences[0].params())
			if show {
				b.WriteString(plain[end:sequences[0].offset] + sequences[0].text)
				end = sequences[0].offset
			}
			sequences = sequences[1:]
		}
		b.WriteString(plain[end:offset])
		end = offset
	}
	for _, m := range matches {
		if m[0] == m[1] {
			continue
		}
		until(m[0], true)
		if len(*own) > 0 {
			b.WriteString(reset)
		}
		b.WriteString(matchColour)
		until(m[1], false)
		b.WriteString(reset + own.String())
	}
	until(len(plain), true)
	return b.String()
}
