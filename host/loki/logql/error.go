package logql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error tells where a query is not accepted, and what would be accepted there.
type Error struct {
	Line   int // from 1
	Column int // in characters, from 1
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// errorAt makes an Error for a byte offset of the query.
func errorAt(query string, offset int, format string, args ...any) *Error {
	before := query[:offset]
	return &Error{
		Line:   1 + strings.Count(before, "\n"),
		Column: 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]),
		Reason: fmt.Sprintf(format, args...),
	}
}
