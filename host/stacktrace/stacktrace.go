// Package stacktrace tells which lines of a container's output continue the line before them: the
// lines of a stack trace as Java, .NET, Python, Go, Ruby, Node, PHP and Rust write them, and all
// indented lines.
//
// Usually a line's own form decides. Where it does not suffice, the lines before it decide: an
// exception's name ends a traceback of Python, but begins a trace of Java.
package stacktrace

import (
	"strings"

	"github.com/deis/logger/host/level"
	"github.com/deis/logger/sdk"
)

// Trace holds what the lines so far tell. It is for one goroutine.
type Trace struct {
	lines  int
	failed bool // the first line states a level of warn or above
	form   form
	last   last
}

// form says which language wrote the trace, where that decides what may follow.
type form uint8

const (
	anyForm form = iota
	python
	golang
	node // the source line before an uncaught error
	rust
)

// last says what form the newest line has.
type last uint8

const (
	plain last = iota
	empty
	indented
	joint // a sentence between two traces
)

// Begin returns the trace that the line may begin.
func Begin(text string) (t Trace) {
	t.failed = level.Of(text) >= sdk.LevelWarn
	t.take(text)
	return t
}

// Continues reports whether the line continues the lines before it. If so, it takes the line.
func (t *Trace) Continues(text string) bool {
	text = trimEnd(text)
	if !t.continues(text) {
		return false
	}
	t.take(text)
	return true
}

// take adds a line to the trace.
func (t *Trace) take(text string) {
	text = trimEnd(text)
	t.lines++
	switch {
	case text == "":
		t.last = empty
	case isIndented(text):
		t.last = indented
		if strings.Trim(text, " \t^~") == "" && t.form == anyForm {
			t.form = node
		}
	case isJoint(text):
		t.last = joint
	default:
		t.last = plain
		t.form = formOf(text, t.form)
	}
}

// formOf returns the form of a trace after the line; before is its form so far.
func formOf(text string, before form) form {
	switch {
	case strings.HasPrefix(text, "Traceback (most recent call last)"):
		return python
	case strings.HasPrefix(text, "panic: "), strings.HasPrefix(text, "fatal error: "), isGoroutine(text):
		return golang
	case strings.HasPrefix(text, "thread '") && strings.Contains(head(text), "' panicked at "):
		return rust
	}
	return before
}

func (t *Trace) continues(text string) bool {
	switch {
	case text == "":
		return t.form == golang || t.form == node || t.form == python
	case isIndented(text):
		return true
	case isFrame(text), isJoint(text):
		return true
	case strings.HasPrefix(text, "Traceback (most recent call last)"):
		return t.form == python && t.last != plain || t.lines == 1 && t.failed
	case isGoroutine(text):
		return t.form == golang || t.failed || t.lines == 1
	case isException(text):
		return t.form == python && t.last == indented || t.form == node && t.last == empty || t.lines == 1 && t.failed
	}
	switch t.form {
	case python: // the name of an exception without "Error" or "Exception" at its end
		return t.last == indented && isName(text)
	case golang:
		return isGoLine(text)
	case node:
		return text == "}" && t.last == indented || strings.HasPrefix(text, "Node.js v")
	case rust:
		return t.lines == 1 || text == "stack backtrace:" || strings.HasPrefix(text, "note: ")
	case anyForm:
	}
	return text == "}" && t.last == indented
}

// headBytes bounds how much of a line is looked at.
const headBytes = 300

func head(text string) string { return text[:min(len(text), headBytes)] }

func trimEnd(text string) string { return strings.TrimRight(text, "\r\n") }

func isIndented(text string) bool { return text != "" && (text[0] == ' ' || text[0] == '\t') }

// isJoint reports whether the line is a sentence between two traces.
func isJoint(text string) bool {
	return strings.HasPrefix(text, "Caused by: ") || strings.HasPrefix(text, "Suppressed: ") ||
		strings.HasPrefix(text, "During handling of the above exception, another exception occurred") ||
		strings.HasPrefix(text, "The above exception was the direct cause of the following exception") ||
		strings.HasPrefix(text, "--- End of ") || text == "Stack trace:"
}

// isFrame reports whether the line is a frame that is not indented: Java's "at a.b(C.java:1)" and
// "... 12 more", Ruby's "a.rb:1:in `b'", PHP's "#0 a.php(1): b()".
func isFrame(text string) bool {
	text = head(text)
	switch {
	case strings.HasPrefix(text, "at "):
		name, _, called := strings.Cut(text[3:], "(")
		return called && name != "" && !strings.Contains(strings.TrimSuffix(strings.TrimPrefix(name, "async "), " "), " ")
	case strings.HasPrefix(text, "... "):
		n := strings.TrimLeft(text[4:], "0123456789")
		return len(n) < len(text)-4 && (n == " more" || n == " common frames omitted")
	case text[0] == '#':
		n := strings.TrimLeft(text[1:], "0123456789")
		return len(n) < len(text)-1 && (strings.HasPrefix(n, " /") || strings.HasPrefix(n, " {main}") || strings.HasPrefix(n, " [internal function]"))
	}
	place, _, in := strings.Cut(text, ":in ")
	if !in || strings.ContainsAny(place, " \t") {
		return false
	}
	colon := strings.LastIndexByte(place, ':')
	return colon > 0 && colon < len(place)-1 && strings.Trim(place[colon+1:], "0123456789") == ""
}

// isGoroutine reports whether the line begins the stack of a goroutine.
func isGoroutine(text string) bool {
	rest, ok := strings.CutPrefix(head(text), "goroutine ")
	n := strings.TrimLeft(rest, "0123456789")
	return ok && len(n) < len(rest) && strings.HasPrefix(n, " [")
}

// isGoLine reports whether the line is one of the unindented lines that a Go program prints when it
// crashes.
func isGoLine(text string) bool {
	for _, prefix := range []string{"[signal ", "created by ", "runtime stack:", "exit status ", "panic: ", "[recovered]", "runtime."} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	if text[len(text)-1] == ')' { // a call
		name, _, _ := strings.Cut(strings.ReplaceAll(head(text), ".(*", "."), "(")
		return (strings.Contains(name, ".") || name == "panic") && !strings.ContainsAny(name, " \t")
	}
	register, value, _ := strings.Cut(text, " ") // rax    0x1
	return len(register) <= 6 && strings.HasPrefix(strings.TrimLeft(value, " "), "0x")
}

// isName reports whether the line is a name, which may contain dots, and may have a colon and a
// text after it.
func isName(text string) bool {
	name, _, _ := strings.Cut(head(text), ":")
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '_' || c == '$'
		digit := c >= '0' && c <= '9' && i > 0
		if !letter && !digit {
			return false
		}
	}
	return name != ""
}

// isException reports whether the line begins with the name of an exception.
func isException(text string) bool {
	name, _, _ := strings.Cut(head(text), ":")
	name, _, _ = strings.Cut(name, " [")
	return isName(name) && (strings.HasSuffix(name, "Error") || strings.HasSuffix(name, "Exception") || strings.HasSuffix(name, "Throwable"))
}
