package logql

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// parseDuration parses what durationForm matches, and what [time.ParseDuration] accepts.
func parseDuration(s string) (time.Duration, error) {
	negative := strings.HasPrefix(s, "-")
	rest := strings.TrimPrefix(s, "-")
	unread := len(rest)
	var sum time.Duration
	for _, unit := range []struct {
		letter byte
		length time.Duration
	}{{'y', 365 * day}, {'w', 7 * day}, {'d', day}} {
		n := 0
		for n < len(rest) && isDigit(rest[n]) {
			n++
		}
		if n == 0 || n == len(rest) || rest[n] != unit.letter {
			continue
		}
		count, err := strconv.ParseInt(rest[:n], 10, 64)
		if err != nil || count > int64((1<<63-1-sum)/unit.length) {
			return 0, errTooLong
		}
		sum += time.Duration(count) * unit.length
		rest = rest[n+1:]
	}
	if rest != "" || len(rest) == unread {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 0, err
		}
		if sum += d; sum < 0 {
			return 0, errTooLong
		}
	}
	if negative {
		sum = -sum
	}
	return sum, nil
}

var errTooLong = errors.New("a duration is less than 292 years")

// formatDuration writes a duration so that [parseDuration] can parse it.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	if d < 0 {
		b.WriteByte('-')
		d = -d
	}
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{
		{"d", day},
		{"h", time.Hour},
		{"m", time.Minute},
		{"s", time.Second},
		{"ms", time.Millisecond},
		{"us", time.Microsecond},
		{"ns", 1},
	} {
		if n := d / unit.length; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit.name)
			d %= unit.length
		}
	}
	return b.String()
}

// sizes maps the units of bytes, in lower case, to their sizes.
var sizes = map[string]float64{
	"": 1, "b": 1,
	"k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12, "p": 1e15, "pb": 1e15,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "pib": 1 << 50,
}

// parseSize parses a number of bytes with a unit in any case, such as "20 KB".
func parseSize(s string) (float64, bool) {
	n := 0
	for n < len(s) && (isDigit(s[n]) || s[n] == '.') {
		n++
	}
	value, err := strconv.ParseFloat(s[:n], 64)
	if err != nil {
		return 0, false
	}
	unit, ok := sizes[strings.ToLower(strings.TrimSpace(s[n:]))]
	return value * unit, ok
}
