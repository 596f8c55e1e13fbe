package v1

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

// Limits on what a request may ask for.
const (
	maxPattern  = 1000 // bytes of a regular expression
	maxPatterns = 8
	maxValues   = 100 // of one filter
	defaultTail = 100 // lines
)

// query is what a request for lines asks for.
type query struct {
	lines  int // negative is all
	after  sdk.Cursor
	floor  sdk.Cursor // no cursor is before it; zero is no floor
	format string     // empty: as Accept says
	wait   bool
	pages  bool // after a cursor come no more than lines
	until  time.Time
	filter *filter // nil: everything
}

// filterNames are the parameters that a session may sign.
var filterNames = []string{
	"lines", "since", "until", "process", "pod", "release", "source", "stream", "include", "exclude", "wait",
}

var (
	logsNames    = append(slices.DeleteFunc(slices.Clone(filterNames), func(n string) bool { return n == "wait" }), "after", "format")
	tailNames    = append(slices.Clone(filterNames), "after", "format")
	sessionNames = []string{"after", "format"}
)

// known refuses a parameter that is not among the names: a misspelt filter must not
// answer as if it were none.
func known(values url.Values, names []string) error {
	for name := range values {
		if !slices.Contains(names, name) {
			return sdk.Refusef("unknown parameter %.40q; accepted: %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// parameters are those of the request's URL. One that is not well-formed is refused, not
// left out: an answer without the filter would look as if it had it.
func parameters(r *http.Request, names []string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, sdk.Refusef("the query is not well-formed (%% is sent as %%25, ; as %%3B): %v", err)
	}
	return values, known(values, names)
}

// parseQuery reads the parameters. Times relative to now count from now.
func parseQuery(values url.Values, now time.Time) (q query, err error) {
	q.lines, q.wait = defaultTail, true
	for _, name := range []string{"lines", "since", "until", "after", "format", "wait"} {
		if len(values[name]) > 1 {
			return q, sdk.Refusef("%s is given %d times, want it once", name, len(values[name]))
		}
	}
	if text := values.Get("lines"); text != "" {
		if q.lines, err = strconv.Atoi(text); err != nil {
			return q, sdk.Refusef("lines=%.40q: want a whole number, -1 for all", text)
		}
	}
	if q.after, err = sdk.ParseCursor(values.Get("after")); err != nil {
		return q, sdk.Refusef("after: %v", err)
	}
	if text := values.Get("wait"); text != "" {
		if q.wait, err = strconv.ParseBool(text); err != nil {
			return q, sdk.Refusef("wait=%.40q: want true or false", text)
		}
	}
	if q.format = values.Get("format"); q.format != "" && !slices.Contains([]string{"text", "ndjson", "sse", "json"}, q.format) {
		return q, sdk.Refusef("format=%.40q: want text, ndjson, sse or json", q.format)
	}
	f, err := parseFilter(values, now)
	if err != nil {
		return q, err
	}
	q.until = f.until
	if !f.empty() {
		q.filter = f
	}
	return q, nil
}

// filter says which entries are wanted.
type filter struct {
	since, until           time.Time
	process, pod, release  []string
	source, stream         []string
	include, exclude       []*regexp.Regexp
	sources                []sdk.Source
	hasText, hasAttributes bool
}

func parseFilter(values url.Values, now time.Time) (f *filter, err error) {
	f = &filter{}
	if f.since, err = parseTime("since", values.Get("since"), now); err != nil {
		return nil, err
	}
	if f.until, err = parseTime("until", values.Get("until"), now); err != nil {
		return nil, err
	}
	for name, to := range map[string]*[]string{
		"process": &f.process, "pod": &f.pod, "release": &f.release, "source": &f.source, "stream": &f.stream,
	} {
		for _, value := range values[name] {
			for part := range strings.SplitSeq(value, ",") {
				if part = strings.TrimSpace(part); part != "" {
					*to = append(*to, part)
				}
			}
		}
		if len(*to) > maxValues {
			return nil, sdk.Refusef("%s has %d values, want at most %d", name, len(*to), maxValues)
		}
		f.hasAttributes = f.hasAttributes || len(*to) > 0
	}
	for _, s := range f.source {
		switch s {
		case sdk.SourceApp.String():
			f.sources = append(f.sources, sdk.SourceApp)
		case sdk.SourceController.String():
			f.sources = append(f.sources, sdk.SourceController)
		default:
			return nil, sdk.Refusef("source=%.40q: want app or controller", s)
		}
	}
	for _, s := range f.stream {
		if s != "stdout" && s != "stderr" {
			return nil, sdk.Refusef("stream=%.40q: want stdout or stderr", s)
		}
	}
	for name, to := range map[string]*[]*regexp.Regexp{"include": &f.include, "exclude": &f.exclude} {
		if len(values[name]) > maxPatterns {
			return nil, sdk.Refusef("%s is given %d times, want at most %d", name, len(values[name]), maxPatterns)
		}
		for _, pattern := range values[name] {
			if pattern == "" {
				continue
			}
			if len(pattern) > maxPattern {
				return nil, sdk.Refusef("%s has %d bytes, want at most %d", name, len(pattern), maxPattern)
			}
			compiled, err := regexp.Compile(pattern)
			if err != nil {
				return nil, sdk.Refusef("%s=%.80q: not a regular expression (RE2): %v", name, pattern, err)
			}
			*to = append(*to, compiled)
			f.hasText = true
		}
	}
	return f, nil
}

// parseTime reads a moment: RFC 3339, or a duration before now.
func parseTime(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	ago, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); err != nil && ok {
		var n int
		if n, err = strconv.Atoi(days); err == nil && (n < 0 || n > 36500) {
			err = strconv.ErrRange
		}
		ago = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || ago < 0 {
		return time.Time{}, sdk.Refusef("%s=%.40q: want a duration back from now, such as 10m, 1h30m or 2d, or a time as in RFC 3339", name, text)
	}
	return now.Add(-ago), nil
}

func (f *filter) empty() bool {
	return !f.hasText && !f.hasAttributes && f.since.IsZero() && f.until.IsZero()
}

// wants says whether the entry passes. A nil filter passes everything.
func (f *filter) wants(e *sdk.Entry) bool {
	if f == nil {
		return true
	}
	if !f.since.IsZero() && e.Time.Before(f.since) || !f.until.IsZero() && e.Time.After(f.until) {
		return false
	}
	if f.hasAttributes && !f.wantsAttributes(e) {
		return false
	}
	if !f.hasText {
		return true
	}
	matches := func(r *regexp.Regexp) bool { return r.MatchString(e.Message) }
	return (len(f.include) == 0 || slices.ContainsFunc(f.include, matches)) && !slices.ContainsFunc(f.exclude, matches)
}

func (f *filter) wantsAttributes(e *sdk.Entry) bool {
	one := func(wanted []string, is string) bool { return len(wanted) == 0 || slices.Contains(wanted, is) }
	return one(f.process, e.Process) && one(f.release, e.Release) && one(f.stream, e.Stream) &&
		(len(f.sources) == 0 || slices.Contains(f.sources, e.Source)) &&
		(len(f.pod) == 0 || slices.ContainsFunc(f.pod, func(pod string) bool {
			// The whole name, or what a line shows of it.
			return e.Pod == pod || e.Pod != "" && strings.HasSuffix(e.Pod, "-"+pod) && !strings.Contains(pod, "-")
		}))
}

// chooseFormat is the format that the request wants: the parameter's, else the best of
// Accept, else text.
func (q *query) chooseFormat(r *http.Request, tail bool) (string, error) {
	if q.format == "json" && tail {
		return "", sdk.Refusef("format=json is for logs, want text, ndjson or sse")
	}
	if q.format != "" {
		return q.format, nil
	}
	best, format := 0.0, ""
	for _, header := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(header, ",") {
			fields := strings.Split(part, ";")
			weight := 1.0
			for _, field := range fields[1:] {
				if text, ok := strings.CutPrefix(strings.TrimSpace(field), "q="); ok {
					if q, err := strconv.ParseFloat(text, 64); err == nil {
						weight = q
					}
				}
			}
			var offered string
			switch strings.ToLower(strings.TrimSpace(fields[0])) {
			case "text/plain", "text/*", "*/*":
				offered = "text"
			case "application/x-ndjson", "application/ndjson", "application/jsonl":
				offered = "ndjson"
			case "text/event-stream":
				offered = "sse"
			case "application/json":
				offered = "json"
				if tail {
					offered = "ndjson"
				}
			}
			if offered != "" && weight > best {
				best, format = weight, offered
			}
		}
	}
	if format == "" {
		format = "text"
	}
	return format, nil
}
