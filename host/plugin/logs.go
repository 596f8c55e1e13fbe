package plugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"
)

const (
	// maxLogLine is the longest line taken whole from a plugin; what is longer is cut.
	maxLogLine = 16 << 10
	// maxLogFields bounds what one line may add to the host's log.
	maxLogFields = 32
	// logsPerSecond and logBurst bound how much a plugin may write into the host's
	// log; what is more is counted.
	logsPerSecond = 100
	logBurst      = 500
)

// longestReason is how much of a line is given as the reason of an exit, in bytes.
const longestReason = 300

// logRelay turns what a plugin prints into the host's log, under the plugin's name.
// It trusts nothing: lines may be of any length, form and number.
type logRelay struct {
	logger  hclog.Logger
	limiter *rate.Limiter

	mu         sync.Mutex
	noticed    time.Time // when it was last said that lines were left out
	lastLine   string    // the newest that may explain an exit, as far as it is shown
	suppressed int
}

func newLogRelay(logger hclog.Logger) *logRelay {
	return &logRelay{logger: logger, limiter: rate.NewLimiter(logsPerSecond, logBurst)}
}

// last is the newest line of weight that the plugin printed.
func (l *logRelay) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastLine
}

// relay logs line after line until the reader ends.
func (l *logRelay) relay(r *bufio.Reader) {
	l.relayUntil(r, func([]byte) bool { return false })
}

// relayUntil logs line after line until the reader ends, or last says that a line is
// the last; that one is not logged.
func (l *logRelay) relayUntil(r *bufio.Reader, last func(line []byte) bool) {
	for {
		line, err := r.ReadSlice('\n')
		cut := 0
		for errors.Is(err, bufio.ErrBufferFull) {
			if cut == 0 {
				line = append([]byte(nil), line...) // the next read overwrites it
			}
			var more []byte
			more, err = r.ReadSlice('\n')
			cut += len(more)
		}
		line = bytes.TrimRight(line, "\r\n")
		if cut == 0 && last(line) {
			return
		}
		if len(line) > 0 {
			l.line(string(line), cut)
		}
		if err != nil {
			return // end of file, or the pipe was closed
		}
	}
}

func (l *logRelay) line(text string, cut int) {
	level, message, fields := parseLog(text)
	if cut > 0 {
		fields = append(fields, "cut_bytes", cut)
	}
	l.mu.Lock()
	if (level >= hclog.Warn || level == hclog.NoLevel) && !crashLine(l.lastLine) {
		// And not the stack trace that follows a crash. Escaped for a log, a byte takes up to six.
		l.lastLine = strings.ToValidUTF8(message[:min(len(message), longestReason)], "")
	}
	if !l.limiter.Allow() {
		l.suppressed++
		l.mu.Unlock()
		return
	}
	suppressed := 0
	if l.suppressed > 0 && time.Since(l.noticed) >= time.Second { // the notices are no flood either
		suppressed, l.suppressed, l.noticed = l.suppressed, 0, time.Now()
	}
	l.mu.Unlock()
	if suppressed > 0 {
		l.logger.Warn("the plugin logs too much: lines were left out", "lines", suppressed)
	}
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	l.logger.Log(level, message, fields...)
}

// crashLine says that the line is how the Go run-time begins its last words.
func crashLine(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
}

// flush says how many lines were left out, at the end of a process.
func (l *logRelay) flush() {
	l.mu.Lock()
	suppressed := l.suppressed
	l.suppressed = 0
	l.mu.Unlock()
	if suppressed > 0 {
		l.logger.Warn("the plugin logs too much: lines were left out", "lines", suppressed)
	}
}

// parseLog reads a line as hclog's JSON, where it is that, else as text of no level.
func parseLog(text string) (level hclog.Level, message string, fields []any) {
	var raw map[string]any
	if strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &raw) == nil {
		m, okMessage := raw["@message"].(string)
		name, okLevel := raw["@level"].(string)
		if okMessage && okLevel {
			for _, key := range slices.Sorted(maps.Keys(raw)) {
				if !strings.HasPrefix(key, "@") && len(fields) < 2*maxLogFields {
					fields = append(fields, printable(key), fieldText(raw[key]))
				}
			}
			level = hclog.LevelFromString(name)
			if level == hclog.NoLevel || level == hclog.Off {
				level = hclog.Info
			}
			return level, printable(m), fields
		}
	}
	return hclog.NoLevel, printable(text), nil
}

func fieldText(value any) any {
	switch v := value.(type) {
	case string:
		return printable(v)
	case float64, bool, nil:
		return v
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return printable(fmt.Sprint(v))
		}
		return string(b)
	}
}

// printable escapes what could steer a terminal or forge a line.
func printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 && len(s) == len(strings.ToValidUTF8(s, "")) {
		return s
	}
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, string(unicode.ReplacementChar)) {
		if unprintable(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return r != '\t' && !unicode.IsPrint(r) }

// lineWriter logs what a plugin printed through the files that go-plugin gave it.
type lineWriter struct {
	logs *logRelay
	rest []byte
}

// Write implements [io.Writer]; a line counts once it is ended, or too long.
func (w *lineWriter) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		end := bytes.IndexByte(w.rest, '\n')
		switch {
		case end >= 0:
			if line := string(bytes.TrimRight(w.rest[:end], "\r")); line != "" {
				w.logs.line(line, 0)
			}
			w.rest = w.rest[end+1:]
		case len(w.rest) > maxLogLine:
			w.logs.line(string(w.rest[:maxLogLine]), 0)
			w.rest = w.rest[maxLogLine:]
		default:
			w.rest = append([]byte(nil), w.rest...)
			return len(b), nil
		}
	}
}
