package plugin

import "testing"

func TestMaskUserinfo(t *testing.T) {
	for value, want := range map[string]string{
		"":                                   "",
		"redis:6379":                         "redis:6379",
		"rediss://redis:6379":                "rediss://redis:6379",
		"redis://:secret@host":               "redis://********@host",
		"redis://user:se,c/r@et@host:1":      "redis://********@host:1",
		"redis://a:1,redis://:secret@b:2":    "redis://********@b:2",
		"redis://:one@a:1, redis://:two@b:2": "redis://********@b:2",
		"user:secret@host:1":                 "********@host:1",
		"rediss://token@host":                "rediss://********@host",
		"ops@example.org":                    "ops@example.org",
	} {
		if got := MaskUserinfo(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}
