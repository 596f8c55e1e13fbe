package pipeline

import (
	"errors"
	"time"

	"github.com/deis/logger/sdk"
)

var errNotRFC3339 = errors.New("not an RFC 3339 time with an offset")

const (
	// rfc3339Length is that of the fixed part of a time.
	rfc3339Length = len("2006-01-02T15:04:05")
	// longestTime leaves room for any sensible fraction of a second.
	longestTime = 64
)

// parseTime reads an RFC 3339 time in its own offset. The time package takes more
// than the RFC (one-digit hours, a comma, an offset of a day) and less (lower-case
// letters, a leap second, which here becomes second 59). A fraction is cut off at
// the nanosecond.
func parseTime(b []byte) (time.Time, error) {
	if len(b) <= rfc3339Length || len(b) > longestTime ||
		b[4] != '-' || b[7] != '-' || b[10]|0x20 != 't' || b[13] != ':' || b[16] != ':' {
		return time.Time{}, errNotRFC3339
	}
	century, year, month, day := two(b), two(b[2:]), two(b[5:]), two(b[8:])
	hour, minute, second := two(b[11:]), two(b[14:]), two(b[17:])
	if second == 60 {
		second = 59
	}
	year += 100 * century
	nanos, rest, ok := fraction(b[rfc3339Length:])
	offset, inRange := offsetSeconds(rest)
	if !ok || !inRange || year > 9999 || hour > 23 || minute > 59 || second > 59 ||
		month-1 > 11 || day-1 >= daysIn(month, year) {
		return time.Time{}, errNotRFC3339
	}
	utc := time.Date(int(year), time.Month(month), int(day), int(hour), int(minute), int(second), 0, time.UTC)
	return sdk.At(utc.Unix()-int64(offset), nanos, offset), nil
}

// noNumber is what two answers without two digits: out of every range, and so is what
// is made of it.
const noNumber = 1 << 16

// two reads two digits.
func two(b []byte) uint {
	tens, ones := uint(b[0]-'0'), uint(b[1]-'0')
	if tens > 9 || ones > 9 {
		return noNumber
	}
	return 10*tens + ones
}

func daysIn(month, year uint) uint {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

// fraction reads the fraction of a second, if there is one.
func fraction(b []byte) (nanos int64, rest []byte, ok bool) {
	if b[0] != '.' {
		return 0, b, true
	}
	i := 1
	for unit := int64(1e8); i < len(b) && b[i]-'0' <= 9; i++ {
		nanos += unit * int64(b[i]-'0')
		unit /= 10
	}
	return nanos, b[i:], i > 1
}

// offsetSeconds reads the offset from UTC, which is less than a day.
func offsetSeconds(b []byte) (seconds int, ok bool) {
	if len(b) == 1 {
		return 0, b[0]|0x20 == 'z'
	}
	if len(b) != len("+00:00") || b[3] != ':' {
		return 0, false
	}
	hours, minutes := two(b[1:]), two(b[4:])
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	seconds = int(60 * (60*hours + minutes))
	switch b[0] {
	case '+':
		return seconds, true
	case '-':
		return -seconds, true
	}
	return 0, false
}
