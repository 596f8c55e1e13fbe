package sdk

import (
	"errors"
	"strings"
	"testing"
	"time"
)

type everySetting struct {
	Text    string        `env:"T_TEXT" default:"x" doc:"some text"`
	Choice  string        `env:"T_CHOICE" default:"a" oneof:"a b" doc:"one of two"`
	Flag    bool          `env:"T_FLAG" doc:"a flag"`
	Count   int           `env:"T_COUNT" default:"10" min:"1" max:"100" doc:"a number"`
	Wait    time.Duration `env:"T_WAIT" default:"1" min:"0" doc:"seconds"`
	Keep    Duration      `env:"T_KEEP" default:"1h30m" max:"7200" doc:"how long"`
	Size    Bytes         `env:"T_SIZE" default:"1MiB" min:"1KiB" doc:"a size"`
	Token   string        `env:"T_TOKEN" secret:"true" oneof:"s3cret" default:"s3cret" doc:"a secret"`
	Ordered int64         `env:"T_ORDERED" required:"true" doc:"must be set"`
}

func TestLoadSettings(t *testing.T) {
	env := map[string]string{
		"T_CHOICE": "b", "T_FLAG": "1", "T_COUNT": "100", "T_WAIT": "0.25", "T_KEEP": "90m15s", "T_SIZE": "2GiB", "T_ORDERED": "-7",
		"T_TEXT": "", // empty means unset
	}
	got, err := LoadSettings[everySetting](lookupIn(env))
	if err != nil {
		t.Fatal(err)
	}
	want := everySetting{
		Text: "x", Choice: "b", Flag: true, Count: 100, Wait: 250 * time.Millisecond, Keep: Duration(90*time.Minute + 15*time.Second),
		Size: 2 << 30, Token: "s3cret", Ordered: -7,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestParseDuration: weeks and days may precede what Go accepts.
func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"1w": 7 * day, "1d": day, "2w3d": 17 * day, "1d12h": 36 * time.Hour, "0d": 0, "0": 0, "90s": 90 * time.Second, "-5m": -5 * time.Minute,
		"36500d": 36500 * day,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q is %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "1", "1d-1h", "-1d", "1h1d", "1d1w", "99999d", "999w99999d", "1.5d", "1 d", "10"} {
		if got, err := ParseDuration(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
}

// TestDurations: 0 needs no unit.
func TestDurations(t *testing.T) {
	type settings struct {
		Keep Duration `env:"T_KEEP" default:"720h" doc:"how long"`
	}
	for text, want := range map[string]time.Duration{"": 720 * time.Hour, "0": 0, "0s": 0, "1.5h": 90 * time.Minute, "100ms": 100 * time.Millisecond, "30d": 720 * time.Hour} {
		got, err := LoadSettings[settings](lookupIn(map[string]string{"T_KEEP": text}))
		if err != nil || time.Duration(got.Keep) != want {
			t.Errorf("%q is %s, %v, want %s", text, time.Duration(got.Keep), err, want)
		}
	}
}

func TestLoadSettingsRefuses(t *testing.T) {
	for _, tc := range []struct{ env, value, want string }{
		{"T_CHOICE", "c", `T_CHOICE="c": want one of a, b`},
		{"T_FLAG", "yes", `T_FLAG="yes": want true, false, 1 or 0`},
		{"T_COUNT", "0", `T_COUNT="0": want a whole number from 1 to 100`},
		{"T_COUNT", "101", `T_COUNT="101": want a whole number from 1 to 100`},
		{"T_COUNT", "1.5", `T_COUNT="1.5": want a whole number from 1 to 100`},
		{"T_COUNT", "99999999999999999999", `T_COUNT="99999999999999999999": want a whole number from 1 to 100`},
		{"T_WAIT", "-1", `T_WAIT="-1": want a number of seconds, such as 1 or 0.5, of at least 0`},
		{"T_WAIT", "1e9", `T_WAIT="1e9": want a number of seconds, such as 1 or 0.5, of at least 0`},
		{"T_WAIT", "NaN", `T_WAIT="NaN": want a number of seconds, such as 1 or 0.5, of at least 0`},
		{"T_WAIT", "99999999999", `T_WAIT="99999999999": want a number of seconds, such as 1 or 0.5, of at least 0`},
		{"T_KEEP", "60", `T_KEEP="60": want a duration, such as 30d, 720h or 1h30m, of at most 7200`},
		{"T_KEEP", "-1h", `T_KEEP="-1h": want a duration, such as 30d, 720h or 1h30m, of at most 7200`},
		{"T_KEEP", "3h", `T_KEEP="3h": want a duration, such as 30d, 720h or 1h30m, of at most 7200`},
		{"T_KEEP", "forever", `T_KEEP="forever": want a duration, such as 30d, 720h or 1h30m, of at most 7200`},
		{"T_SIZE", "1kb", `T_SIZE="1kb": want a size in bytes, such as 65536, 64KiB or 256MiB, of at least 1024`},
		{"T_SIZE", "-1MiB", `T_SIZE="-1MiB": want a size in bytes, such as 65536, 64KiB or 256MiB, of at least 1024`},
		{"T_SIZE", "99999999999GiB", `T_SIZE="99999999999GiB": want a size in bytes, such as 65536, 64KiB or 256MiB, of at least 1024`},
		{"T_TOKEN", "guess", `T_TOKEN: its value is refused: want one of s3cret`},
		{"T_ORDERED", "", `T_ORDERED is not set: want a whole number`},
	} {
		t.Run(tc.env+"="+tc.value, func(t *testing.T) {
			env := map[string]string{"T_ORDERED": "1", tc.env: tc.value}
			_, err := LoadSettings[everySetting](lookupIn(env))
			if !errors.Is(err, ErrInvalid) || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestDeclareSettingsRefusesMistakes(t *testing.T) {
	type noEnv struct{ A string }
	type badType struct {
		A float32 `env:"A"`
	}
	type badDefault struct {
		A int `env:"A" default:"x"`
	}
	type twice struct {
		A string `env:"A"`
		B string `env:"A"`
	}
	type badBound struct {
		A int `env:"A" default:"1" min:"low"`
	}
	type hidden struct {
		a string `env:"A"` //nolint:unused // the test's subject
	}
	for name, declare := range map[string]func() ([]Setting, error){
		"no env tag":   DeclareSettings[noEnv],
		"type":         DeclareSettings[badType],
		"default":      DeclareSettings[badDefault],
		"twice":        DeclareSettings[twice],
		"tag min":      DeclareSettings[badBound],
		"not exported": DeclareSettings[hidden],
		"struct":       DeclareSettings[int],
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := declare(); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want an error about %q", err, name)
			}
		})
	}
}

func TestSettingsSurviveTheWire(t *testing.T) {
	settings, err := DeclareSettings[everySetting]()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		back := settingFromWire(settingToWire(s))
		for _, value := range []string{"", "a", "1", "0", "1000", "1MiB", "true", "-1"} {
			want, got := s.Check(value), back.Check(value)
			if (want == nil) != (got == nil) || want != nil && want.Error() != got.Error() {
				t.Errorf("%s=%q: %v here, %v after the wire", s.Env, value, want, got)
			}
		}
	}
}

func FuzzSettingCheck(f *testing.F) {
	settings, err := DeclareSettings[everySetting]()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "1", "0.5", ".", "1e3", "0x10", "NaN", "1MiB", "MiB", "-0", "9223372036854775807", "9223372036854775807GiB", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range settings {
			n, err := s.parse(text)
			if err != nil {
				if err := s.Check(text); !errors.Is(err, ErrInvalid) || strings.ContainsAny(err.Error(), "\n\r") {
					t.Errorf("%s=%q: error %v is not one line wrapping ErrInvalid", s.Env, text, err)
				}
				continue
			}
			if s.Type != StringSetting && (n < 0 && s.Min != nil && *s.Min >= 0) {
				t.Errorf("%s=%q: accepted as %d, below its bound", s.Env, text, n)
			}
		}
	})
}

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}
