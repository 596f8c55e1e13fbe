package client

import (
	"net/url"
	"strconv"
	"time"
)

// AllLines as a number of lines means all that are kept.
const AllLines = -1

// Query chooses entries. The zero Query chooses those that are still to come.
type Query struct {
	// Lines is how many of the newest entries that pass the filters are wanted; [AllLines] for all.
	// With After set it is how many of the oldest are wanted; a tail then gives all.
	Lines int
	// After is a cursor: only what comes after it is wanted.
	After string
	// Since and Until choose entries by their own time: not before Since and not after Until.
	Since, Until Moment

	// Process, Pod, Release, Source and Stream hold the values to choose; an empty list means any.
	Process, Pod, Release, Source, Stream []string
	// Level is the least level that an entry has to state. Empty chooses any, and entries that
	// state none.
	Level Level
	// Include and Exclude are regular expressions (RE2) on the message. If there are any in
	// Include, one has to match; none of Exclude may.
	Include, Exclude []string

	// ContextBefore and ContextAfter are how many lines before and after each entry that Level,
	// Include and Exclude choose are wanted too. Lines does not count them.
	ContextBefore, ContextAfter int
	// Group joins lines that continue a stack trace to the line before them, as one entry.
	Group bool
	// Fields names members of messages that are JSON objects. They come apart, in [Record.Fields].
	// The name user.id means the member id of user.
	Fields []string

	// FewCursors leaves out the Cursor of entries of several apps: it has a place for each app, and
	// so is longer than most lines. [Client.FollowApps] and [Stream.Cursor] return the cursor all
	// the same.
	FewCursors bool
}

// Moment holds an instant, made by [At], or a time back from now by the server's clock, made by
// [Ago]. The zero Moment sets no bound.
type Moment struct {
	kind momentKind
	at   time.Time
	ago  time.Duration
}

type momentKind int

const (
	noMoment momentKind = iota
	instant
	backFromNow
)

// At returns the instant t.
func At(t time.Time) Moment { return Moment{kind: instant, at: t} }

// Ago returns the moment that was d before now. Ago(0) is now.
func Ago(d time.Duration) Moment { return Moment{kind: backFromNow, ago: d} }

// IsZero reports whether the moment is none. Neither At nor Ago returns such a moment.
func (m Moment) IsZero() bool { return m.kind == noMoment }

// String returns the moment as the API takes it: a duration or RFC 3339. It returns the empty
// string for none.
func (m Moment) String() string {
	switch m.kind {
	case instant:
		return m.at.Format(time.RFC3339Nano)
	case backFromNow:
		return m.ago.String()
	default:
		return ""
	}
}

// after returns the moment that means the same instant when the time d has passed.
func (m Moment) after(d time.Duration) Moment {
	if m.kind == backFromNow {
		m.ago += d
	}
	return m
}

// pin returns the instant that the moment is at the time now, so that a query that is repeated
// later means the same.
func (m Moment) pin(now time.Time) Moment {
	if m.kind == backFromNow {
		return At(now.Add(-m.ago))
	}
	return m
}

func (q Query) values() url.Values {
	v := url.Values{"lines": {strconv.Itoa(q.Lines)}}
	for name, moment := range map[string]Moment{"since": q.Since, "until": q.Until} {
		if !moment.IsZero() {
			v.Set(name, moment.String())
		}
	}
	for name, values := range map[string][]string{
		"process": q.Process, "pod": q.Pod, "release": q.Release, "source": q.Source, "stream": q.Stream,
		"include": q.Include, "exclude": q.Exclude, "fields": q.Fields,
	} {
		for _, value := range values {
			v.Add(name, value)
		}
	}
	if q.Level != "" {
		v.Set("level", string(q.Level))
	}
	for name, n := range map[string]int{"context_before": q.ContextBefore, "context_after": q.ContextAfter} {
		if n > 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	if q.Group {
		v.Set("group", "true")
	}
	if q.After != "" {
		v.Set("after", q.After)
	}
	return v
}
