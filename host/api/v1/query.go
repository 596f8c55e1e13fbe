package v1

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

// Limits on what a request may ask for.
const (
	maxValues   = 100 // of one filter
	defaultTail = 100 // lines
)

// query holds what a request for lines asks for.
type query struct {
	lines int // negative is all
	// after and floor are the cursors where a client stopped, and before which nothing is shown;
	// empty for none.
	after, floor string
	format       string // empty: as Accept says
	wait         bool
	filter       sdk.Filter
	// moving says that the filter has a time that counts back from now.
	moving bool
	choice lineChoice
	// fewCursors is for several apps.
	fewCursors bool
}

// The parameters of requests for lines. A session may sign those of filterNames.
var (
	matchNames   = []string{"since", "until", "process", "pod", "release", "source", "stream", "level", "include", "exclude"}
	filterNames  = slices.Concat([]string{"lines"}, matchNames, []string{"wait"})
	logsNames    = slices.Concat([]string{"lines"}, matchNames, []string{"after", "format"})
	tailNames    = slices.Concat(filterNames, placeNames)
	placeNames   = []string{"after", "format", "lastEventId"}
	sessionNames = slices.Concat(placeNames, []string{"cursors"})
	severalNames = []string{"app", "cursors"}
)

// known refuses a parameter that is not among the names: a misspelt filter must not
// answer as if it were none.
func known(values url.Values, names []string) error {
	for name := range values {
		switch {
		case slices.Contains(names, name):
		case slices.Contains(excerptNames, name):
			return sdk.Refusef("%s is for the logs and tails of one app, and not for sessions", name)
		default:
			return sdk.Refusef("unknown parameter %.40q; accepted: %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// parameters returns the parameters of the request's URL. One that is not well-formed is refused,
// not left out: an answer without the filter would look as if it had it.
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
	for _, name := range []string{"lines", "since", "until", "level", "after", "lastEventId", "format", "wait", "step", "context", "context_before", "context_after", "group", "cursors"} {
		if len(values[name]) > 1 {
			return q, sdk.Refusef("%s is given %d times, want it once", name, len(values[name]))
		}
	}
	if text := values.Get("lines"); text != "" {
		if q.lines, err = strconv.Atoi(text); err != nil {
			return q, sdk.Refusef("lines=%.40q: want a whole number, -1 for all", text)
		}
	}
	q.after = values.Get("after")
	if text := values.Get("wait"); text != "" {
		if q.wait, err = strconv.ParseBool(text); err != nil {
			return q, sdk.Refusef("wait=%.40q: want true or false", text)
		}
	}
	if q.format = values.Get("format"); q.format != "" && !slices.Contains([]string{"text", "ndjson", "sse", "json"}, q.format) {
		return q, sdk.Refusef("format=%.40q: want text, ndjson, sse or json", q.format)
	}
	if q.choice, err = parseChoice(values); err != nil {
		return q, err
	}
	switch text := values.Get("cursors"); text {
	case "", "each":
	case "few":
		q.fewCursors = true
	default:
		return q, sdk.Refusef("cursors=%.40q: want each or few", text)
	}
	q.filter, err = parseFilter(values, now)
	for _, name := range []string{"since", "until"} {
		if text := values.Get(name); text != "" {
			_, ago := sdk.ParseDuration(text)
			q.moving = q.moving || ago == nil
		}
	}
	return q, err
}

func parseFilter(values url.Values, now time.Time) (f sdk.Filter, err error) {
	if f.Since, err = parseTime("since", values.Get("since"), now); err != nil {
		return f, err
	}
	if f.Until, err = parseTime("until", values.Get("until"), now); err != nil {
		return f, err
	}
	if text := values.Get("level"); text != "" {
		if f.Level, err = sdk.ParseLevel(text); err != nil {
			return f, err
		}
	}
	var sources []string
	for _, list := range []struct {
		name string
		to   *[]string
	}{{"process", &f.Process}, {"pod", &f.Pod}, {"release", &f.Release}, {"source", &sources}, {"stream", &f.Stream}} {
		for _, value := range values[list.name] {
			for part := range strings.SplitSeq(value, ",") {
				if part = strings.TrimSpace(part); part != "" {
					*list.to = append(*list.to, part)
				}
			}
		}
		if len(*list.to) > maxValues {
			return f, sdk.Refusef("%s has %d values, want at most %d", list.name, len(*list.to), maxValues)
		}
	}
	for _, s := range sources {
		switch s {
		case sdk.SourceApp.String():
			f.Source = append(f.Source, sdk.SourceApp)
		case sdk.SourceController.String():
			f.Source = append(f.Source, sdk.SourceController)
		default:
			return f, sdk.Refusef("source=%.40q: want app or controller", s)
		}
	}
	for _, s := range f.Stream {
		if s != "stdout" && s != "stderr" {
			return f, sdk.Refusef("stream=%.40q: want stdout or stderr", s)
		}
	}
	empty := func(pattern string) bool { return pattern == "" }
	f.Include = slices.DeleteFunc(slices.Clone(values["include"]), empty)
	f.Exclude = slices.DeleteFunc(slices.Clone(values["exclude"]), empty)
	_, err = f.Compile() // refuses what is no regular expression, or a too expensive one
	return f, err
}

// parseTime reads a moment: RFC 3339, seconds since 1970, or a duration before now.
func parseTime(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		if at.IsZero() {
			at = at.Add(1) // the zero time is no bound to a filter
		}
		return at, nil
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil && s >= leastUnix && s <= mostUnix {
		return time.UnixMicro(int64(s * 1e6)), nil
	}
	if ago, err := sdk.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	hint := ""
	if _, err := time.Parse(time.RFC3339Nano, strings.Replace(text, " ", "+", 1)); err == nil {
		hint = "; in a URL, + is sent as %2B"
	}
	return time.Time{}, sdk.Refusef("%s=%.40q: want a duration back from now, such as 10m, 1h30m, 2d or 1w, or a time as in RFC 3339 or in seconds since 1970%s", name, text, hint)
}

// leastUnix and mostUnix bound what counts as seconds since 1970: from 1973, since a smaller
// number is a duration that lacks its unit, to 5138, since a larger one is of milliseconds.
const leastUnix, mostUnix = 1e8, 1e11

// accepted are the formats by media type.
var accepted = map[string]string{
	"text/plain": "text", "text/*": "text", "*/*": "text", "text/event-stream": "sse", "application/json": "json",
	"application/x-ndjson": "ndjson", "application/ndjson": "ndjson", "application/jsonl": "ndjson",
}

// parseRequest reads the parameters of a request for lines. Its format is that of the parameter,
// else the best of Accept, else text.
func parseRequest(r *http.Request, values url.Values, tail bool) (q query, err error) {
	q, err = parseQuery(values, time.Now())
	switch {
	case err != nil || q.format != "" && q.format != "json":
		return q, err
	case q.format == "json" && tail:
		return q, sdk.Refusef("format=json is for logs, want text, ndjson or sse")
	case q.format == "":
		q.format = acceptedFormat(r, tail)
	}
	return q, nil
}

// acceptedFormat returns the best of the formats that the request accepts.
func acceptedFormat(r *http.Request, tail bool) (format string) {
	best, format := 0.0, "text"
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		kind, params, _ := mime.ParseMediaType(part) // what is malformed is none of ours
		weight, err := strconv.ParseFloat(params["q"], 64)
		if err != nil {
			weight = 1
		}
		if offered := accepted[kind]; offered != "" && weight > best {
			best, format = weight, offered
		}
	}
	if format == "json" && tail {
		format = "ndjson"
	}
	return format
}
