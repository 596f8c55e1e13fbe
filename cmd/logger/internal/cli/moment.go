package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/deis/logger/client"
)

// moment parses a flag whose value is a duration before now, or an instant.
type moment struct{ *client.Moment }

func (m moment) String() string {
	if m.Moment == nil {
		return "" // as pflag asks for the zero value
	}
	return m.Moment.String()
}

func (moment) Type() string { return "time" }

func (m moment) Set(text string) error {
	parsed, err := parseMoment(text, time.Local)
	if err == nil {
		*m.Moment = parsed
	}
	return err
}

var errMoment = errors.New("want a duration such as 90s, 10m, 1h30m, 2d or 1w, or a time such as 2026-01-02T15:04:05Z or 1767366245")

// layouts are read beside RFC 3339. They have no offset, and mean times in the user's zone.
var layouts = []string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04", "2006-01-02"}

func parseMoment(text string, location *time.Location) (client.Moment, error) {
	if ago, err := parseDuration(text); err == nil {
		if ago < 0 {
			return client.Moment{}, fmt.Errorf("%w: it counts back from now", errMoment)
		}
		return client.Ago(ago), nil
	}
	if at, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil {
		return client.At(at), nil
	}
	if seconds.MatchString(text) {
		s, err := strconv.ParseFloat(text, 64)
		return client.At(time.UnixMicro(int64(s * 1e6)).UTC()), err
	}
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, text, location); err == nil {
			return client.At(at), nil
		}
	}
	return client.Moment{}, errMoment
}

// seconds matches seconds since 1970, perhaps with a fraction. A smaller number is a duration that
// lacks its unit.
var seconds = regexp.MustCompile(`^[0-9]{9,11}(\.[0-9]+)?$`)

var weeksAndDays = regexp.MustCompile(`^(?:([0-9]{1,3})w)?(?:([0-9]{1,4})d)?(.*)$`)

// parseDuration reads Go's durations, with weeks and days in front.
func parseDuration(text string) (d time.Duration, err error) {
	m := weeksAndDays.FindStringSubmatch(text)
	if m == nil || text == "" {
		return 0, errMoment
	}
	if m[3] != "" {
		d, err = time.ParseDuration(m[3])
	}
	weeks, _ := strconv.Atoi(m[1]) // no digits are none
	n, _ := strconv.Atoi(m[2])
	return d + time.Duration(7*weeks+n)*24*time.Hour, err
}

// lines parses a flag whose value is a number of lines.
type lines struct{ *int }

func (l lines) String() string {
	if l.int == nil {
		return ""
	}
	return strconv.Itoa(*l.int)
}

func (lines) Type() string { return "n" }

func (l lines) Set(text string) error {
	n, err := strconv.Atoi(text)
	switch {
	case text == "all", err == nil && n == client.AllLines:
		*l.int = client.AllLines
	case err != nil, n < 0:
		return errors.New("want a number of lines; -1 or all for all of them")
	default:
		*l.int = n
	}
	return nil
}
