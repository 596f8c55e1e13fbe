package client

import (
	"net/url"
	"strconv"
	"time"
)

// AllLines is the number of lines that means all that are kept.
const AllLines = -1

// Query chooses entries. The zero Query chooses those that are still to come.
type Query struct {
	// Lines is how many of the newest entries that pass the filters are wanted;
	// [AllLines] for all. Where After is set, it is how many of the oldest, and a tail
	// gives all.
	Lines int
	// After is a cursor: only what follows it is wanted.
	After string
	Since Moment
	Until Moment

	// Process, Pod, Release, Source and Stream are the values to be chosen; none
	// means any.
	Process, Pod, Release, Source, Stream []string
	// Include and Exclude are regular expressions (RE2) over the message: one of the
	// former has to match, if there are any, and none of the latter.
	Include, Exclude []string
}

// Moment is an instant, or so long ago by the server's clock. The zero Moment is
// none.
type Moment struct {
	At  time.Time
	Ago time.Duration
}

// IsZero says that the moment is none.
func (m Moment) IsZero() bool { return m.At.IsZero() && m.Ago == 0 }

func (m Moment) String() string {
	if m.At.IsZero() {
		return m.Ago.String()
	}
	return m.At.Format(time.RFC3339Nano)
}

// pin makes an instant of the moment, so that a query repeated later means the same.
func (m Moment) pin(now time.Time) Moment {
	if m.At.IsZero() && m.Ago != 0 {
		return Moment{At: now.Add(-m.Ago)}
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
		"include": q.Include, "exclude": q.Exclude,
	} {
		for _, value := range values {
			v.Add(name, value)
		}
	}
	if q.After != "" {
		v.Set("after", q.After)
	}
	return v
}
