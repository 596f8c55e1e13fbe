package cli

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	_ "time/tzdata" // for machines that have none
)

// zone parses a flag whose value is a time zone.
type zone struct{ at **time.Location }

func (z zone) String() string {
	if z.at == nil || *z.at == nil {
		return ""
	}
	return (*z.at).String()
}

func (zone) Type() string { return "zone" }

var errZone = errors.New("want UTC, Local or a name such as Europe/Berlin")

func (z zone) Set(text string) error {
	location, err := time.LoadLocation(text)
	if text == "" || err != nil {
		return errZone
	}
	*z.at = location
	return nil
}

// mostContext is the most lines of context that a server gives on each side of a match.
const mostContext = 100

// contextLines parses a flag whose value is a number of lines around matches.
type contextLines struct{ n *int }

func (c contextLines) String() string {
	if c.n == nil {
		return "0" // as pflag asks for the zero value
	}
	return strconv.Itoa(*c.n)
}

func (contextLines) Type() string { return "lines" }

func (c contextLines) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > mostContext {
		return fmt.Errorf("want a number of lines from 0 to %d", mostContext)
	}
	*c.n = n
	return nil
}
