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

// moment is a flag that is a duration before now or an instant.
type moment struct{ *client.Moment }

func (m moment) String() string {
	if m.Moment == nil || m.IsZero() {
		return ""
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

var errMoment = errors.New("want a duration such as 90s, 10m, 1h30m or 2d, or a time such as 2026-01-02T15:04:05Z")

// layouts are those that are read beside RFC 3339; without an offset, they mean the
// user's own.
var layouts = []string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04", "2006-01-02"}

func parseMoment(text string, location *time.Location) (client.Moment, error) {
	if ago, err := parseDuration(text); err == nil {
		if ago < 0 {
			return client.Moment{}, fmt.Errorf("%w: it counts back from now", errMoment)
		}
		return client.Moment{Ago: ago}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil {
		return client.Moment{At: at}, nil
	}
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, text, location); err == nil {
			return client.Moment{At: at}, nil
		}
	}
	return client.Moment{}, errMoment
}

var days = regexp.MustCompile(`^([0-9]{1,4})d(.*)$`)

// parseDuration reads Go's durations and days.
func parseDuration(text string) (time.Duration, error) {
	var extra time.Duration
	if m := days.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, err
		}
		if extra, text = time.Duration(n)*24*time.Hour, m[2]; text == "" {
			return extra, nil
		}
	}
	d, err := time.ParseDuration(text)
	return d + extra, err
}

// lines is a flag that is a number of lines.
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
