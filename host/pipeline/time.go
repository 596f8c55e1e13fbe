package pipeline

import (
	"errors"
	"time"
)

var errNotRFC3339 = errors.New("not an RFC 3339 time with an offset")

// rfc3339Shape is the fixed part of an RFC 3339 time, with 0 for a digit.
const rfc3339Shape = "0000-00-00T00:00:00"

// parseTime reads an RFC 3339 time in its own offset. The time package takes more
// than the RFC (one-digit hours, a comma, an offset of a day) and less (lower-case
// letters, a leap second, which here becomes second 59).
func parseTime(s string) (time.Time, error) {
	if len(s) < len(rfc3339Shape)+1 || len(s) > 64 {
		return time.Time{}, errNotRFC3339
	}
	b := []byte(s)
	upper(&b[len("2006-01-02")])
	upper(&b[len(b)-1])
	const second = len("2006-01-02T15:04:")
	if b[second] == '6' && b[second+1] == '0' {
		b[second], b[second+1] = '5', '9'
	}
	if !matches(b[:len(rfc3339Shape)], rfc3339Shape) || !fractionAndOffset(b[len(rfc3339Shape):]) {
		return time.Time{}, errNotRFC3339
	}
	t, err := time.Parse(time.RFC3339, string(b)) // checks the ranges, days of months included
	if err != nil {
		return time.Time{}, errNotRFC3339
	}
	return t, nil
}

func upper(b *byte) {
	if *b == 't' || *b == 'z' {
		*b -= 'a' - 'A'
	}
}

// matches says that b has the shape: a digit for each 0, else the same byte.
func matches(b []byte, shape string) bool {
	if len(b) != len(shape) {
		return false
	}
	for i, c := range b {
		if shape[i] == '0' && (c < '0' || c > '9') || shape[i] != '0' && c != shape[i] {
			return false
		}
	}
	return true
}

func fractionAndOffset(b []byte) bool {
	if b[0] == '.' {
		digits := 1
		for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' {
			digits++
		}
		if digits == 1 {
			return false
		}
		b = b[digits:]
	}
	return matches(b, "Z") || matches(b, "+00:00") && offsetInRange(b) || matches(b, "-00:00") && offsetInRange(b)
}

// offsetInRange keeps an offset within a day.
func offsetInRange(b []byte) bool { return string(b[1:3]) < "24" && string(b[4:6]) < "60" }
