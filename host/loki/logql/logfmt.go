package logql

import (
	"strconv"
	"strings"
)

// logfmtStep makes labels from the pairs of a line: from all, or from the wanted ones.
type logfmtStep struct {
	*Extract
	names names
	name  []byte
}

const logfmtError = "LogfmtParserErr"

func (s *logfmtStep) run(b *builder) bool {
	fields := 0
	for rest := b.line; ; {
		key, value, after, ok := nextPair(rest)
		if key == "" && ok {
			return true
		}
		rest = after
		if !ok {
			if s.Strict {
				b.fail(logfmtError, "a pair is not of the form key=value")
				return true
			}
			continue
		}
		if value == "" && !s.KeepEmpty {
			continue
		}
		if fields++; fields > maxFields || len(key) > maxNameBytes {
			b.fail(logfmtError, errTooMany.Error())
			return true
		}
		s.extract(b, key, value)
	}
}

func (s *logfmtStep) extract(b *builder, key, value string) {
	if len(s.Labels) == 0 {
		s.name = appendName(s.name[:0], key)
		b.extract(s.names.of(s.name), value)
		return
	}
	for _, l := range s.Labels {
		if l.From == key {
			b.extract(l.Name, value)
		}
	}
}

// nextPair reads a pair, and returns the rest of the line. At the end of the line, key is empty and
// ok is true. If there is no pair, ok is false.
func nextPair(s string) (key, value, rest string, ok bool) {
	for s != "" && s[0] <= ' ' {
		s = s[1:]
	}
	n := pairEnd(s, true)
	key, rest = s[:n], s[n:]
	if rest == "" || rest[0] != '=' {
		if rest != "" && rest[0] == '"' {
			return "", "", rest[pairEnd(rest[1:], false)+1:], false
		}
		return key, "", rest, true
	}
	if rest = rest[1:]; rest != "" && rest[0] == '"' {
		value, rest, ok = quotedValue(rest)
		return key, value, rest, ok && key != ""
	}
	n = pairEnd(rest, false)
	value, rest = rest[:n], rest[n:]
	return key, value, rest, key != "" && !strings.ContainsAny(value, `"=`)
}

// pairEnd returns the end of a value, which is white space. A key also ends at = and ".
func pairEnd(s string, key bool) int {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || key && (c == '=' || c == '"') {
			return i
		}
	}
	return len(s)
}

// quotedValue reads a value in quotes, with escapes as in Go.
func quotedValue(s string) (value, rest string, ok bool) {
	n, escaped := 1, false
	for ; n < len(s) && s[n] != '"'; n++ {
		if s[n] == '\\' {
			escaped = true
			n++
		}
	}
	if n >= len(s) {
		return "", "", false
	}
	value, rest = s[1:n], s[n+1:]
	if rest != "" && rest[0] > ' ' {
		return "", rest[pairEnd(rest, false):], false
	}
	if !escaped {
		return value, rest, true
	}
	unquoted, err := strconv.Unquote(s[:n+1])
	if err != nil {
		unquoted = value // an escape that Go does not know stays as written
	}
	return unquoted, rest, true
}
