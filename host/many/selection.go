package many

import (
	"slices"
	"strings"

	"github.com/deis/logger/sdk"
)

// MaxApps is the most apps of one stream: each is a follower of its own, and has a place in the
// cursor.
const MaxApps = 128

// ErrTooMany refuses a selection of more apps than one stream takes.
var ErrTooMany = sdk.Refusef("more than %d apps are selected, which is the most for one stream: name them, or narrow the pattern, as shop-* does, and read the others with another request", MaxApps)

// maxPatterns is the most patterns of one selection.
const maxPatterns = 32

// Selection says which apps are wanted: some by name, some by patterns in which * stands for any
// characters.
type Selection struct {
	names    []string // sorted, each once
	patterns []string
}

// ParseSelection reads names and patterns. Each value has one or several, with commas between.
// Anything else, or too many, is [sdk.ErrInvalid].
func ParseSelection(values []string) (s Selection, err error) {
	for _, value := range values {
		for text := range strings.SplitSeq(value, ",") {
			switch text = strings.TrimSpace(text); {
			case text == "":
			case !strings.Contains(text, "*"):
				if err := sdk.CheckApp(text); err != nil {
					return s, err
				}
				s.names = append(s.names, text)
			default:
				// What remains without the stars is a part of a name.
				if part := strings.ReplaceAll(text, "*", ""); len(text) > 253 || sdk.CheckApp("a"+part+"a") != nil {
					return s, sdk.Refusef("app=%.80q: want letters, digits, '-', '_', '.', and * for any of them", text)
				}
				s.patterns = append(s.patterns, text)
			}
		}
	}
	slices.Sort(s.names)
	slices.Sort(s.patterns)
	s.names, s.patterns = slices.Compact(s.names), slices.Compact(s.patterns)
	switch {
	case len(s.names)+len(s.patterns) == 0:
		return s, sdk.Refusef("app is missing: want names of apps, or patterns such as shop-* or *")
	case len(s.names) > MaxApps:
		return s, ErrTooMany
	case len(s.patterns) > maxPatterns:
		return s, sdk.Refusef("app has %d patterns, want at most %d", len(s.patterns), maxPatterns)
	}
	return s, nil
}

// Names returns the apps that are selected by name, sorted.
func (s *Selection) Names() []string { return s.names }

// Patterns reports whether apps are selected by patterns.
func (s *Selection) Patterns() bool { return len(s.patterns) > 0 }

// Match reports whether the app is selected.
func (s *Selection) Match(app string) bool {
	if _, found := slices.BinarySearch(s.names, app); found {
		return true
	}
	return slices.ContainsFunc(s.patterns, func(pattern string) bool { return Match(pattern, app) })
}

// String returns the names and patterns with commas between.
func (s *Selection) String() string {
	return strings.Join(slices.Concat(s.names, s.patterns), ",")
}

// Match reports whether the name fits the pattern, in which * stands for any characters.
func Match(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	for ok {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		// The first place where a part fits leaves the most to the parts behind it.
		_, name, ok = strings.Cut(name, part)
		rest = after
	}
	return false
}
