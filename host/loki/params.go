package loki

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/sdk"
)

const (
	// defaultLines and maxLines are the default and the largest number of lines of an answer.
	defaultLines, maxLines = 100, 5000
	// defaultWindow is the default length of a window.
	defaultWindow = time.Hour
	// defaultPoints is about the default number of steps of a window.
	defaultPoints = 250
)

// window holds the time from start, inclusive, to end, exclusive.
type window struct {
	start, end time.Time
}

// parseWindow parses start, end and since.
func parseWindow(values url.Values, now time.Time) (w window, err error) {
	if w.end, err = parseTime("end", values.Get("end"), now); err != nil {
		return w, err
	}
	since, err := parseDuration("since", values.Get("since"), defaultWindow)
	if err != nil {
		return w, err
	}
	if w.start, err = parseTime("start", values.Get("start"), w.end.Add(-since)); err != nil {
		return w, err
	}
	if w.end.Before(w.start) {
		return w, sdk.Refusef("end is before start")
	}
	return w, nil
}

// parseTime parses a moment: RFC 3339, or a number since 1970, in nanoseconds if it has more than
// ten digits, and in seconds if it has fewer or a decimal point.
func parseTime(name, text string, missing time.Time) (time.Time, error) {
	if text == "" {
		return missing, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if len(strings.TrimPrefix(text, "-")) <= 10 {
			return time.Unix(n, 0), nil
		}
		return time.Unix(0, n), nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(f) < math.MaxInt64/1e9 {
		seconds, rest := math.Modf(f)
		return time.Unix(int64(seconds), int64(math.Round(rest*1e3))*1e6), nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil && at.Year() >= 1678 && at.Year() < 2262 {
		return at, nil
	}
	return time.Time{}, sdk.Refusef("%s=%.40q: want a time as in RFC 3339, or nanoseconds or seconds since 1970", name, text)
}

// parseDuration parses seconds, or a duration such as 90s, 5m or 1d.
func parseDuration(name, text string, missing time.Duration) (time.Duration, error) {
	if text == "" {
		return missing, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		if f >= 0 && f < math.MaxInt64/1e9 {
			return time.Duration(f * float64(time.Second)), nil
		}
	} else if d, err := sdk.ParseDuration(text); err == nil && d >= 0 {
		return d, nil
	}
	return 0, sdk.Refusef("%s=%.40q: want seconds, or a duration such as 30s, 5m or 1d", name, text)
}

// parseLimit parses how many lines or series are wanted.
func parseLimit(name, text string) (int, error) {
	if text == "" {
		return defaultLines, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLines {
		return 0, sdk.Refusef("%s=%.40q: want a whole number from 1 to %d", name, text, maxLines)
	}
	return n, nil
}

// parseForward parses the direction.
func parseForward(values url.Values) (bool, error) {
	switch text := strings.ToLower(values.Get("direction")); text {
	case "", "backward":
		return false, nil
	case "forward":
		return true, nil
	default:
		return false, sdk.Refusef("direction=%.40q: want forward or backward", text)
	}
}

// parseStep parses the time between two points. By default, the window has a few hundred points.
func parseStep(values url.Values, w window) (time.Duration, error) {
	missing := max(w.end.Sub(w.start)/defaultPoints, time.Second).Truncate(time.Second)
	step, err := parseDuration("step", values.Get("step"), missing)
	if err == nil && step <= 0 {
		err = sdk.Refusef("step=%.40q: want more than 0", values.Get("step"))
	}
	return step, err
}

// parseSelector parses a log query.
func parseSelector(text string) (*logql.LogQuery, error) {
	expr, err := logql.Parse(text)
	if err != nil {
		return nil, err
	}
	q, ok := expr.(*logql.LogQuery)
	if !ok {
		return nil, sdk.Refusef("query=%.80q: want a log query such as {app=\"foo\"}, not a metric", text)
	}
	return q, nil
}
