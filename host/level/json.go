package level

import (
	"strings"

	"github.com/deis/logger/sdk"
)

// Key reports whether a member of a JSON object with that name states the level.
func Key(name string) bool {
	switch name {
	case "level", "Level", "LEVEL", "lvl", "severity", "Severity", "SEVERITY", // most loggers
		"log.level",                     // Elastic Common Schema
		"levelname", "levelName", "Lvl", // Python, .NET
		"severityText", "severity_text", // OpenTelemetry
		"SeverityText", "LogLevel", "@l": // OpenTelemetry, .NET, Serilog
		return true
	}
	return false
}

// longestValue bounds the values that are looked at: a word in quotes, and some padding.
const longestValue = 2 + longestWord + 3

// Value returns the level that a member's value states. The value is written as in JSON: a string
// with a word, or a number as pino and bunyan use them.
func Value(json string) sdk.Level {
	if len(json) < 2 || len(json) > longestValue {
		return sdk.LevelUnknown
	}
	if json[0] == '"' {
		return named(json[1 : len(json)-1])
	}
	switch json {
	case "10":
		return sdk.LevelTrace
	case "20":
		return sdk.LevelDebug
	case "30":
		return sdk.LevelInfo
	case "40":
		return sdk.LevelWarn
	case "50":
		return sdk.LevelError
	case "60":
		return sdk.LevelFatal
	}
	return sdk.LevelUnknown
}

// ofObject returns the level that a member of the JSON object states. s begins with a brace. The
// search ends where s is not JSON. If inner is false, a member "log" may be an object that contains
// the level.
func ofObject(s string, inner bool) sdk.Level {
	mongo := strings.HasPrefix(s, `{"t":{"$date"`)
	for i := 1; ; i++ {
		i = skipSpace(s, i)
		if i == len(s) || s[i] != '"' {
			return sdk.LevelUnknown
		}
		end := stringEnd(s, i)
		name := s[i+1 : max(i+1, end-1)]
		i = skipSpace(s, end)
		if i == len(s) || s[i] != ':' {
			return sdk.LevelUnknown
		}
		i = skipSpace(s, i+1)
		end = valueEnd(s, i)
		value := s[i:end]
		l := sdk.LevelUnknown
		switch {
		case Key(name):
			l = Value(value)
		case mongo && name == "s" && len(value) > 2:
			l = initial(value[1])
		case name == "log" && !inner && value != "" && value[0] == '{':
			l = ofObject(value, true)
		}
		i = skipSpace(s, end)
		if l != sdk.LevelUnknown || i == len(s) || s[i] != ',' {
			return l
		}
	}
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// shortString is roughly the length of members' names.
const shortString = 16

// stringEnd returns the index after the string that begins at i, or the text's end.
func stringEnd(s string, i int) int {
	end := i + 1
	for ; end < len(s) && end < i+shortString && s[end] != '\\'; end++ { // faster than a search for so few bytes
		if s[end] == '"' {
			return end + 1
		}
	}
	for end = i + 1; ; {
		n := strings.IndexByte(s[end:], '"')
		if n < 0 {
			return len(s)
		}
		end += n + 1
		backslashes := end - 1
		for s[backslashes-1] == '\\' {
			backslashes--
		}
		if (end-1-backslashes)%2 == 0 {
			return end
		}
	}
}

// valueEnd returns the index after the value that begins at i, or the text's end.
func valueEnd(s string, i int) int {
	for depth := 0; i < len(s); {
		switch s[i] {
		case '"':
			i = stringEnd(s, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			i++
		case ',':
			if depth == 0 {
				return i
			}
			i++
			continue
		default:
			i++
			continue
		}
		if depth == 0 {
			return i
		}
	}
	return i
}
