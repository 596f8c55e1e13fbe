package pipeline

import (
	"strconv"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

// timeForm tells how a record states its time. It is the label of a metric.
type timeForm uint8

const (
	timeRFC3339 timeForm = iota
	timeNoOffset
	timeSeconds
	timeMillis
	timeMicros
	timeNanos
	timeMissing  // the record has none of the keys: the time of publishing counts
	timeUnusable // none of the values is a time: likewise
	timeForms
)

var timeFormNames = [timeForms]string{
	"rfc3339", "no_offset", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "missing", "unusable",
}

const (
	// shortTime is the length of the part that every time has.
	shortTime = len("2006-01-02T15:04:05")
	// longestTime leaves room for any sensible fraction of a second.
	longestTime = 64
)

// timeOf reads a value as a time: a string as RFC 3339 has it, a number as an epoch.
func (s *scanner) timeOf(v *value) (time.Time, timeForm) {
	raw := s.raw(&v.extent)
	switch v.kind {
	case stringOf:
		if !v.verbatim() {
			var b [longestTime + 1]byte
			raw, _, _ = s.unquote(&v.extent, b[:0], len(b))
		}
		return parseTime(raw)
	case numberOf:
		return parseEpoch(raw)
	default:
		return time.Time{}, timeUnusable
	}
}

// parseTime reads an RFC 3339 time in its own offset. Collectors also write a space for the T, a
// comma before the fraction, and an offset without the colon or none, which means UTC. Letters may
// be small. A leap second becomes second 59, and a fraction is cut off at the nanosecond.
func parseTime(b []byte) (time.Time, timeForm) {
	if len(b) < shortTime || len(b) > longestTime ||
		b[4] != '-' || b[7] != '-' || b[10]|0x20 != 't' && b[10] != ' ' || b[13] != ':' || b[16] != ':' {
		return time.Time{}, timeUnusable
	}
	century, year, month, day := two(b), two(b[2:]), two(b[5:]), two(b[8:])
	hour, minute, second := two(b[11:]), two(b[14:]), two(b[17:])
	if second == 60 {
		second = 59
	}
	year += 100 * century
	nanos, rest, ok := fraction(b[shortTime:])
	offset, inRange := offsetSeconds(rest)
	if !ok || !inRange || year > 9999 || hour > 23 || minute > 59 || second > 59 ||
		month-1 > 11 || day-1 >= daysIn(month, year) {
		return time.Time{}, timeUnusable
	}
	form := timeRFC3339
	if len(rest) == 0 {
		form = timeNoOffset
	}
	utc := time.Date(int(year), time.Month(month), int(day), int(hour), int(minute), int(second), 0, time.UTC)
	return sdk.At(utc.Unix()-int64(offset), nanos, offset), form
}

// The least epochs in each unit: seconds and so on from 1973 to 5138. A lesser number is a
// duration, or something else.
const (
	leastSeconds = 1e8
	leastMillis  = 1e11
	leastMicros  = 1e14
	leastNanos   = 1e17
)

// parseEpoch reads a number as seconds, milli-, micro- or nanoseconds since 1970; its size tells
// which.
func parseEpoch(number []byte) (time.Time, timeForm) {
	if len(number) > longestTime {
		return time.Time{}, timeUnusable
	}
	text := string(number)
	if strings.ContainsAny(text, "eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return time.Time{}, timeUnusable
		}
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	whole, rest, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	form, unit := timeSeconds, int64(time.Second)
	switch {
	case err != nil || n < leastSeconds:
		return time.Time{}, timeUnusable
	case n >= leastNanos:
		form, unit = timeNanos, 1
	case n >= leastMicros:
		form, unit = timeMicros, int64(time.Microsecond)
	case n >= leastMillis:
		form, unit = timeMillis, int64(time.Millisecond)
	}
	perSecond := int64(time.Second) / unit
	nanos := n % perSecond * unit
	for scale := unit / 10; scale > 0 && rest != ""; scale /= 10 {
		nanos += int64(rest[0]-'0') * scale
		rest = rest[1:]
	}
	return sdk.At(n/perSecond, nanos, 0), form
}

// noNumber is what two returns where there are not two digits. It is out of every range, and so is
// what is made of it.
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
	if len(b) == 0 || b[0] != '.' && b[0] != ',' {
		return 0, b, true
	}
	i := 1
	for unit := int64(1e8); i < len(b) && b[i]-'0' <= 9; i++ {
		nanos += unit * int64(b[i]-'0')
		unit /= 10
	}
	return nanos, b[i:], i > 1
}

// offsetSeconds reads the offset from UTC, which must be less than a day.
func offsetSeconds(b []byte) (seconds int, ok bool) {
	minutesAt := len("+00:")
	switch len(b) {
	case 0:
		return 0, true
	case 1:
		return 0, b[0]|0x20 == 'z'
	case len("+0000"):
		minutesAt = len("+00")
	case len("+00:00"):
		if b[3] != ':' {
			return 0, false
		}
	default:
		return 0, false
	}
	hours, minutes := two(b[1:]), two(b[minutesAt:])
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
