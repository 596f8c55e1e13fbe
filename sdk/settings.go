package sdk

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting declares one environment variable of the host that a plugin wants.
type Setting struct {
	// Env is the variable's name.
	Env  string
	Type SettingType
	// Default is the value when the variable is unset or empty.
	Default string
	// Doc is one line, for people.
	Doc string
	// Secret says that the value is masked wherever settings are shown.
	Secret bool
	// Required says that the setting has no default and must be set.
	Required bool
	// Min and Max bound a number, both inclusive; nil means no bound.
	Min, Max *int64
	// OneOf, if not empty, lists the only accepted values.
	OneOf []string
}

// SettingType says how the text of a setting is read, as numbered in logger.plugin.v1.SettingType.
type SettingType uint8

// The types of settings.
const (
	// StringSetting takes any text.
	StringSetting SettingType = 1
	// BoolSetting takes true, false, 1 or 0.
	BoolSetting SettingType = 2
	// IntSetting takes a whole number in decimal.
	IntSetting SettingType = 3
	// SecondsSetting takes a number of seconds, with an optional fraction.
	SecondsSetting SettingType = 4
	// BytesSetting takes a size: a whole number with an optional KiB, MiB or GiB.
	BytesSetting SettingType = 5
	// DurationSetting takes what [ParseDuration] does, such as 720h, 30d or 1h30m, or 0. Its
	// bounds are in seconds.
	DurationSetting SettingType = 6
)

// Duration holds a length of time whose text has a unit, in a field of settings.
type Duration time.Duration

// Bytes holds a size in bytes, in a field of settings.
type Bytes int64

// DeclareSettings derives the settings that a struct type wants from its fields.
// Every field has these tags:
//
//	env:"NAME"        the variable
//	default:"VALUE"   when it is unset or empty (default: the empty string)
//	doc:"TEXT"        one line, for people
//	min:"N" max:"N"   bounds of a number, inclusive
//	oneof:"a b c"     the only accepted values
//	secret:"true"     mask it wherever settings are shown
//	required:"true"   refuse to start without it
//
// A field is a string, bool, int, int64, [time.Duration] (its text is a number of seconds),
// [Duration] (its text has units) or [Bytes] (its text is a size). An error is a mistake in the
// declaration.
func DeclareSettings[S any]() ([]Setting, error) {
	t := reflect.TypeFor[S]()
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("settings must be a struct, not %s", t)
	}
	settings := make([]Setting, 0, t.NumField())
	for i := range t.NumField() {
		s, err := declare(t.Field(i))
		if err != nil {
			return nil, fmt.Errorf("settings field %s.%s: %w", t, t.Field(i).Name, err)
		}
		if slices.ContainsFunc(settings, func(o Setting) bool { return o.Env == s.Env }) {
			return nil, fmt.Errorf("settings field %s.%s: %s is declared twice", t, t.Field(i).Name, s.Env)
		}
		settings = append(settings, s)
	}
	return settings, nil
}

func declare(f reflect.StructField) (Setting, error) {
	s := Setting{
		Env:      f.Tag.Get("env"),
		Default:  f.Tag.Get("default"),
		Doc:      f.Tag.Get("doc"),
		Secret:   f.Tag.Get("secret") == "true",
		Required: f.Tag.Get("required") == "true",
		OneOf:    strings.Fields(f.Tag.Get("oneof")),
	}
	if s.Env == "" {
		return s, fmt.Errorf("no env tag: %w", ErrInvalid)
	}
	if !f.IsExported() {
		return s, fmt.Errorf("not exported: %w", ErrInvalid)
	}
	switch f.Type {
	case reflect.TypeFor[string]():
		s.Type = StringSetting
	case reflect.TypeFor[bool]():
		s.Type = BoolSetting
		if s.Default == "" {
			s.Default = "false"
		}
	case reflect.TypeFor[int](), reflect.TypeFor[int64]():
		s.Type = IntSetting
	case reflect.TypeFor[time.Duration]():
		s.Type = SecondsSetting
	case reflect.TypeFor[Duration]():
		s.Type = DurationSetting
	case reflect.TypeFor[Bytes]():
		s.Type = BytesSetting
	default:
		return s, fmt.Errorf("type %s is not one of string, bool, int, int64, time.Duration, sdk.Duration, sdk.Bytes: %w", f.Type, ErrInvalid)
	}
	for tag, bound := range map[string]**int64{"min": &s.Min, "max": &s.Max} {
		text, ok := f.Tag.Lookup(tag)
		if !ok {
			continue
		}
		n, err := parseBytes(text)
		if err != nil {
			return s, fmt.Errorf("tag %s: %w", tag, err)
		}
		*bound = &n
	}
	if !s.Required {
		if err := s.Check(s.Default); err != nil {
			return s, fmt.Errorf("default: %w", err)
		}
	}
	return s, nil
}

// LoadSettings fills a settings struct: lookup gives a variable's text and whether it is set. An
// unset or empty variable takes its default. At the first value that is refused it returns an error
// that wraps [ErrInvalid] and names the variable, the value (unless it is secret) and what is
// accepted.
func LoadSettings[S any](lookup func(env string) (string, bool)) (S, error) {
	var out S
	settings, err := DeclareSettings[S]()
	if err != nil {
		return out, err
	}
	v := reflect.ValueOf(&out).Elem()
	for i, s := range settings {
		text, err := s.Value(lookup)
		if err != nil {
			return out, err
		}
		n, err := s.parse(text)
		if err != nil {
			return out, s.refuse(text)
		}
		switch field := v.Field(i); s.Type {
		case StringSetting:
			field.SetString(text)
		case BoolSetting:
			field.SetBool(n == 1)
		default:
			field.SetInt(n)
		}
	}
	return out, nil
}

// Value returns the checked text of the setting: what lookup has, or the default when
// that is unset or empty. Errors are as in [LoadSettings].
func (s Setting) Value(lookup func(env string) (string, bool)) (string, error) {
	text, _ := lookup(s.Env)
	if text == "" {
		if s.Required {
			return "", Refusef("%s is not set: want %s", s.Env, s.accepts())
		}
		text = s.Default
	}
	return text, s.Check(text)
}

// Check refuses a value that the setting does not accept, with an error wrapping
// [ErrInvalid] that names the variable, the value (unless secret) and what is accepted.
func (s Setting) Check(text string) error {
	if _, err := s.parse(text); err != nil {
		return s.refuse(text)
	}
	return nil
}

func (s Setting) refuse(text string) error {
	if s.Secret {
		return Refusef("%s: its value is refused: want %s", s.Env, s.accepts())
	}
	return Refusef("%s=%.100q: want %s", s.Env, text, s.accepts())
}

// parse reads the text. Numbers are in the unit of the Go field: nanoseconds,
// bytes, 0 or 1; 0 for text. Its only error is ErrInvalid: refuse says the rest.
func (s Setting) parse(text string) (int64, error) {
	if len(s.OneOf) > 0 && !slices.Contains(s.OneOf, text) {
		return 0, ErrInvalid
	}
	switch s.Type {
	case StringSetting:
		return 0, nil
	case BoolSetting:
		switch text {
		case "true", "1":
			return 1, nil
		case "false", "0":
			return 0, nil
		}
		return 0, ErrInvalid
	case IntSetting:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || !s.within(float64(n)) {
			return 0, ErrInvalid
		}
		return n, nil
	case SecondsSetting:
		f, err := parseSeconds(text)
		if err != nil || !s.within(f) {
			return 0, ErrInvalid
		}
		return int64(math.Round(f * float64(time.Second))), nil
	case DurationSetting:
		d, err := ParseDuration(text)
		if err != nil || d < 0 || !s.within(d.Seconds()) {
			return 0, ErrInvalid
		}
		return int64(d), nil
	case BytesSetting:
		n, err := parseBytes(text)
		if err != nil || n < 0 || !s.within(float64(n)) {
			return 0, ErrInvalid
		}
		return n, nil
	}
	return 0, nil // of a type that a later version added: its plugin checks it
}

func (s Setting) within(n float64) bool {
	return (s.Min == nil || n >= float64(*s.Min)) && (s.Max == nil || n <= float64(*s.Max))
}

// accepts says what the setting takes, for an error line.
func (s Setting) accepts() string {
	if len(s.OneOf) > 0 {
		return "one of " + strings.Join(s.OneOf, ", ")
	}
	var what string
	switch s.Type {
	case BoolSetting:
		return "true, false, 1 or 0"
	case IntSetting:
		what = "a whole number"
	case SecondsSetting:
		what = "a number of seconds, such as 1 or 0.5,"
	case DurationSetting:
		what = "a duration, such as 30d, 720h or 1h30m,"
	case BytesSetting:
		what = "a size in bytes, such as 65536, 64KiB or 256MiB,"
	default:
		return "text"
	}
	switch {
	case s.Min != nil && s.Max != nil:
		what += fmt.Sprintf(" from %d to %d", *s.Min, *s.Max)
	case s.Min != nil:
		what += fmt.Sprintf(" of at least %d", *s.Min)
	case s.Max != nil:
		what += fmt.Sprintf(" of at most %d", *s.Max)
	}
	return strings.TrimSuffix(what, ",")
}

var weeksAndDays = regexp.MustCompile(`^(?:([0-9]{1,4})w)?(?:([0-9]{1,5})d)?(.*)$`)

// ParseDuration reads a duration as [time.ParseDuration] does, and weeks and days in front of it:
// 1w, 2d, 1d12h. It fails with [ErrInvalid].
func ParseDuration(text string) (d time.Duration, err error) {
	parts := weeksAndDays.FindStringSubmatch(text)
	if parts == nil {
		return 0, ErrInvalid
	}
	if rest := parts[3]; rest != "" {
		if d, err = time.ParseDuration(rest); err != nil || rest != text && strings.IndexByte("+-", rest[0]) >= 0 {
			return 0, ErrInvalid
		}
	} else if text == "" {
		return 0, ErrInvalid
	}
	weeks, _ := strconv.Atoi(parts[1]) // no digits are none
	days, _ := strconv.Atoi(parts[2])
	whole := time.Duration(7*weeks+days) * 24 * time.Hour
	if days += 7 * weeks; days > 100*366 || whole > math.MaxInt64-max(d, 0) {
		return 0, ErrInvalid
	}
	return whole + d, nil
}

// maxSeconds keeps a duration within what time.Duration holds.
const maxSeconds = float64(math.MaxInt64/int64(time.Second)) - 1

// parseSeconds reads digits with an optional fraction, and nothing else that strconv would take
// (exponents, hex, NaN, Inf, signs).
func parseSeconds(text string) (float64, error) {
	if strings.Trim(text, "0123456789.") != "" {
		return 0, ErrInvalid
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f > maxSeconds {
		return 0, ErrInvalid
	}
	return f, nil
}

// parseBytes reads a whole number with an optional binary unit.
func parseBytes(text string) (int64, error) {
	shift := 0
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if rest, ok := strings.CutSuffix(text, unit); ok {
			text, shift = rest, bits
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > math.MaxInt64>>shift || n < math.MinInt64>>shift {
		return 0, ErrInvalid
	}
	return n << shift, nil
}
