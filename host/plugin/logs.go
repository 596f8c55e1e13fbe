package plugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	// maxLogLine is the longest line, in bytes, that is taken whole from a plugin; a longer line is
	// cut.
	maxLogLine = 16 << 10
	// maxLogFields bounds how many fields one line may add to the host's log.
	maxLogFields = 32
	// logsPerSecond and logBurst bound how many lines a plugin may write into the host's log;
	// further lines are only counted.
	logsPerSecond = 100
	logBurst      = 500
	// relayBuffer bounds the bytes of a plugin's output that are read at once. After so much of a
	// flood nothing is read for floodPause. So a plugin can print 13 MB a second, which costs the
	// host next to nothing, and has to wait if it prints more.
	relayBuffer = 64 << 10
	floodPause  = 5 * time.Millisecond
)

// longestReason bounds the bytes of a line that are given as the reason of an exit.
const longestReason = 300

// logRelay turns what a plugin prints into the host's log, under the plugin's name.
// It trusts nothing: lines may be of any length, form and number.
type logRelay struct {
	logger  hclog.Logger
	limiter *rate.Limiter

	mu         sync.Mutex
	noticed    time.Time // when it was last said that lines were left out
	lastLine   string    // the newest that may explain an exit, up to longestReason
	suppressed int
	ended      bool
}

// over reports whether the process has ended.
func (l *logRelay) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

func newLogRelay(logger hclog.Logger) *logRelay {
	return &logRelay{logger: logger, limiter: rate.NewLimiter(logsPerSecond, logBurst)}
}

// last returns the newest line that may explain an exit.
func (l *logRelay) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastLine
}

// relay logs line after line until the reader ends. In a flood it reads slowly, and looks at only a
// part of what it reads.
func (l *logRelay) relay(pipe io.Reader) {
	r := bufio.NewReaderSize(pipe, relayBuffer)
	torn := false // the beginning of the line was left out
	for {
		line, cut, err := readLine(r)
		flood := !torn && len(line) > 0 && l.line(line, cut)
		if err != nil {
			return // end of file, or the pipe was closed
		}
		torn = false
		if flood {
			torn = l.skip(r)
		}
	}
}

// relayUntil logs line after line until the reader ends, or last returns true for a line. That line
// is not logged. relayUntil looks at each line, so that it finds the last one even in a flood.
func (l *logRelay) relayUntil(r *bufio.Reader, last func(line []byte) bool) {
	flooded := 0
	for {
		line, cut, err := readLine(r)
		if cut == 0 && last(line) {
			return
		}
		if len(line) > 0 && l.line(line, cut) {
			flooded += len(line)
		}
		if err != nil {
			return
		}
		if flooded >= relayBuffer {
			flooded = 0
			time.Sleep(floodPause)
		}
	}
}

// readLine reads a line without its end, and returns how many bytes of it were cut off. The line is
// valid until the next one is read.
func readLine(r *bufio.Reader) (line []byte, cut int, err error) {
	line, err = r.ReadSlice('\n')
	whole := len(line)
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line[:maxLogLine]) // the next read overwrites it
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		time.Sleep(floodPause) // no line of use is so long
		var more []byte
		more, err = r.ReadSlice('\n')
		whole += len(more)
	}
	line = line[:min(len(line), maxLogLine)]
	cut = whole - len(line)
	return bytes.TrimRight(line, "\r\n"), cut, err
}

// skip leaves out what is in the buffer, and waits a moment. It returns true if the buffer ends
// within a line.
func (l *logRelay) skip(r *bufio.Reader) (torn bool) {
	left, _ := r.Peek(r.Buffered())
	if len(left) > 0 {
		l.mu.Lock()
		l.suppressed += bytes.Count(left, []byte{'\n'})
		l.rememberOne(left)
		l.mu.Unlock()
		torn = left[len(left)-1] != '\n'
		_, _ = r.Discard(len(left))
	}
	time.Sleep(floodPause)
	return torn
}

// rememberOne keeps, of many lines, one that may explain an exit: the one with which a crash of the
// Go run-time begins, or else the last one. The caller holds the lock.
func (l *logRelay) rememberOne(lines []byte) {
	for _, mark := range crashMarks {
		at := bytes.Index(lines, []byte(mark))
		if at < 0 || at > 0 && lines[at-1] != '\n' {
			continue
		}
		line, _, _ := bytes.Cut(lines[at:], []byte{'\n'})
		l.remember(hclog.NoLevel, printable(string(line[:min(len(line), longestReason)])))
		return
	}
	lines = bytes.TrimRight(lines, "\r\n")
	l.rememberText(lines[bytes.LastIndexByte(lines, '\n')+1:])
}

// rememberText does what remember does, for a line that is not parsed.
func (l *logRelay) rememberText(line []byte) {
	if len(line) > 0 && line[0] != '{' {
		l.remember(hclog.NoLevel, printable(string(line[:min(len(line), longestReason)])))
	}
}

// remember keeps a line that may explain an exit, but nothing of the stack trace that follows a
// crash. The caller holds the lock.
func (l *logRelay) remember(level hclog.Level, message string) {
	if (level >= hclog.Warn || level == hclog.NoLevel) && !crashLine(l.lastLine) {
		// A byte that is escaped for a log may have become six.
		l.lastLine = strings.ToValidUTF8(message[:min(len(message), longestReason)], "")
	}
}

// line logs a line. If there were too many lines, it only counts this one, and returns true.
func (l *logRelay) line(text []byte, cut int) (flood bool) {
	l.mu.Lock()
	if !l.limiter.Allow() {
		l.suppressed++
		l.rememberText(text)
		l.mu.Unlock()
		return true
	}
	l.mu.Unlock()
	level, message, fields := parseLog(string(text))
	if cut > 0 {
		fields = append(fields, "cut_bytes", cut)
	}
	l.mu.Lock()
	l.remember(level, message)
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
	return false
}

// crashMarks are the texts with which a crash of the Go run-time begins.
var crashMarks = []string{"panic: ", "fatal error: "}

// crashLine reports whether the line begins with one of the crashMarks.
func crashLine(line string) bool {
	return slices.ContainsFunc(crashMarks, func(mark string) bool { return strings.HasPrefix(line, mark) })
}

// flush logs how many lines were left out, at the end of a process. It does not wait for lines that
// come later through go-plugin.
func (l *logRelay) flush() {
	l.mu.Lock()
	l.ended = true
	suppressed := l.suppressed
	l.suppressed = 0
	l.mu.Unlock()
	if suppressed > 0 {
		l.logger.Warn("the plugin logs too much: lines were left out", "lines", suppressed)
	}
}

// parseLog reads a line as hclog's JSON or, if it is not that, as text without a level.
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
	logs    *logRelay
	rest    []byte
	flooded int // bytes since the last pause
}

// writerFlood bounds the bytes of a flood that are taken between two pauses. It is small because
// they come in small messages, each of which costs.
const writerFlood = 8 << 10

// Write implements [io.Writer]. It logs a line once it is ended, or is too long. It pauses in a
// flood, so that the plugin has to wait.
func (w *lineWriter) Write(b []byte) (int, error) {
	if w.logs.over() {
		return 0, io.ErrClosedPipe
	}
	w.rest = append(w.rest, b...)
	for {
		line, rest, ended := bytes.Cut(w.rest, []byte{'\n'})
		if !ended && len(w.rest) > maxLogLine {
			line, rest, ended = w.rest[:maxLogLine], w.rest[maxLogLine:], true
		}
		if !ended {
			break
		}
		if line = bytes.TrimRight(line, "\r"); len(line) > 0 && w.logs.line(line, 0) {
			w.flooded += len(line)
		}
		w.rest = rest
	}
	w.rest = bytes.Clone(w.rest)
	if w.flooded >= writerFlood {
		w.flooded = 0
		time.Sleep(floodPause)
	}
	return len(b), nil
}
