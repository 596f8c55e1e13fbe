package render

import (
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// bytesPerColumn bounds how much may be heaped up in one column, since combining marks take no
// room.
const bytesPerColumn = 16

// CutBytes returns the longest beginning of a printed line that has at most limit bytes, does not
// end within a character or an escape sequence, and leaves no colours set after it.
func CutBytes(line string, limit int) string {
	if len(line) <= limit {
		return line
	}
	var (
		own       style
		beginning string
	)
	for i := 0; i < limit; {
		r, n := utf8.DecodeRuneInString(line[i:])
		if r == esc || r >= 0x80 && r <= 0x9f {
			var sgr bool
			if n, sgr = sequence(line[i:]); sgr {
				own.obey(line[i+2 : i+n-1]) // ESC [ and C1 CSI both have two bytes
			}
		}
		i += n
		end := ""
		if len(own) > 0 {
			end = reset
		}
		if i+len(end) <= limit {
			beginning = line[:i] + end
		}
	}
	return beginning
}

// Cut returns as much of a cleaned line as fits in that many columns of a terminal, and whether it
// left anything out. It cuts between what a reader takes for characters, and never in a colour.
func Cut(line string, columns int) (beginning string, cut bool) {
	if len(line) <= columns {
		return line, false // no character is wider than it is long
	}
	width, i, state := 0, 0, -1
	for i < len(line) {
		if line[i] == esc {
			n, _ := sequence(line[i:])
			i, state = i+n, -1
			continue
		}
		text := line[i:]
		if n := strings.IndexByte(text, esc); n >= 0 {
			text = text[:n]
		}
		cluster, _, w, next := uniseg.FirstGraphemeClusterInString(text, state)
		if cluster == "\t" {
			w = 1 // at least
		}
		if width+w > columns {
			return line[:i], true
		}
		if limit := bytesPerColumn * columns; i+len(cluster) > limit {
			if width > 0 {
				return line[:i], true
			}
			for limit > 0 && !utf8.RuneStart(line[limit]) {
				limit--
			}
			return line[:limit], true
		}
		width, i, state = width+w, i+len(cluster), next
	}
	return line, false
}
