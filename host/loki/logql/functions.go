package logql

import (
	"fmt"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

// templateFunctions has the functions that templates may call besides builtins:
//
//	__line__, __timestamp__      the line; its time
//	date LAYOUT TIME             a time in a layout of Go, such as "15:04:05"
//	printf FORMAT VALUE…         as in Go; widths below 1000, no [n] and no *
//	print VALUE…                 as in Go
//	lower, upper, trim TEXT      also ToLower, ToUpper and TrimSpace
//	trimPrefix, trimSuffix FIX TEXT
//	replace OLD NEW TEXT         all that it finds
//	trunc N TEXT                 the first N characters, or the last -N
//	substr FROM TO TEXT          the characters from FROM until before TO
//	alignLeft, alignRight N TEXT N characters, filled with spaces
//	contains, hasPrefix, hasSuffix PART TEXT
//	default OTHER TEXT           the text, or the other if it is empty
//
// All lengths are in characters.
type templateFunctions = template.FuncMap

// instant wraps a time, so that templates can only print it: the methods of a time may return
// endless texts.
type instant struct{ t time.Time }

func (i instant) String() string { return i.t.UTC().Format(time.RFC3339Nano) }

func (f *formatter) functions() templateFunctions {
	return templateFunctions{
		"__line__":      func() string { return f.b.line },
		"__timestamp__": func() instant { return instant{f.b.at} },
		"date": func(layout string, at instant) (string, error) {
			const growth = 4 // a layout's "Jan" is shorter than a month's name, and its "1" shorter than a number
			if err := f.b.charge(growth * len(layout)); err != nil {
				return "", err
			}
			return at.t.UTC().Format(layout), nil
		},
		"printf":     f.printf,
		"print":      f.print,
		"lower":      f.mapping(strings.ToLower),
		"upper":      f.mapping(strings.ToUpper),
		"trim":       strings.TrimSpace,
		"ToLower":    f.mapping(strings.ToLower),
		"ToUpper":    f.mapping(strings.ToUpper),
		"TrimSpace":  strings.TrimSpace,
		"trimPrefix": func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
		"trimSuffix": func(suffix, s string) string { return strings.TrimSuffix(s, suffix) },
		"replace":    f.replace,
		"trunc": func(n int, s string) string {
			if n < 0 {
				return substring(utf8.RuneCountInString(s)+n, len(s), s)
			}
			return substring(0, n, s)
		},
		"substr":     substring,
		"alignLeft":  func(n int, s string) (string, error) { return f.align(n, s, false) },
		"alignRight": func(n int, s string) (string, error) { return f.align(n, s, true) },
		"contains":   func(part, s string) bool { return strings.Contains(s, part) },
		"hasPrefix":  func(part, s string) bool { return strings.HasPrefix(s, part) },
		"hasSuffix":  func(part, s string) bool { return strings.HasSuffix(s, part) },
		"default": func(other, s string) string {
			if s == "" {
				return other
			}
			return s
		},
	}
}

// mapping bounds a function whose result is about as long as its argument.
func (f *formatter) mapping(of func(string) string) func(string) (string, error) {
	return func(s string) (string, error) {
		if err := f.b.charge(len(s)); err != nil {
			return "", err
		}
		return of(s), nil
	}
}

func (f *formatter) replace(from, to, s string) (string, error) {
	if err := f.b.charge(len(s) + strings.Count(s, from)*len(to)); err != nil {
		return "", err
	}
	return strings.ReplaceAll(s, from, to), nil
}

// substring returns characters of a text. Indices outside it count as its ends.
func substring(from, to int, s string) string {
	begin, end := len(s), len(s)
	n := 0
	for i := range s {
		if n == max(from, 0) {
			begin = i
		}
		if n == max(to, 0) {
			end = i
			break
		}
		n++
	}
	return s[min(begin, end):end]
}

func (f *formatter) align(n int, s string, right bool) (string, error) {
	have := utf8.RuneCountInString(s)
	if n <= have {
		return substring(0, n, s), nil
	}
	if err := f.b.charge(n); err != nil {
		return "", err
	}
	spaces := strings.Repeat(" ", n-have)
	if right {
		return spaces + s, nil
	}
	return s + spaces, nil
}

// printf formats its values, each at most once.
func (f *formatter) printf(format string, values ...any) (string, error) {
	digits, verbs := 0, 0
	for _, c := range []byte(format) {
		switch {
		case c == '*' || c == '[':
			return "", fmt.Errorf("printf takes no %c", c)
		case !isDigit(c):
			digits = 0
		default:
			if digits++; digits > 3 {
				return "", fmt.Errorf("printf takes widths below 1000")
			}
		}
		if c == '%' {
			verbs++
		}
	}
	const widest = 2 * 1000 // of a width and a precision
	if err := f.b.charge(len(format) + verbs*widest); err != nil {
		return "", err
	}
	if err := f.values(values); err != nil {
		return "", err
	}
	return fmt.Sprintf(format, values...), nil
}

func (f *formatter) print(values ...any) (string, error) {
	if err := f.values(values); err != nil {
		return "", err
	}
	return fmt.Sprint(values...), nil
}

// values charges for the values that will be printed.
func (f *formatter) values(values []any) error {
	const escaped = 10 // most bytes that %q or %x make of one
	for _, v := range values {
		n := 0
		switch v := v.(type) {
		case string:
			n = len(v)
		case bool, int, int64, float64, instant:
		default:
			return fmt.Errorf("a value of type %T cannot be printed", v)
		}
		if err := f.b.charge(escaped * n); err != nil {
			return err
		}
	}
	return nil
}
