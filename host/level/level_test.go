package level

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLines(t *testing.T) {
	counts := map[bool]int{}
	for _, line := range lines {
		counts[line.want == unknown]++
		if got := Of(line.text); got != line.want {
			t.Errorf("%q states %s, want %s", line.text, got, line.want)
		}
	}
	if counts[false] < 160 || counts[true] < 40 {
		t.Errorf("%d lines with a level and %d without", counts[false], counts[true])
	}
}

// TestMembers checks members of the records that collectors send.
func TestMembers(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        sdk.Level
	}{
		{"level", `"warn"`, warn},
		{"level", `"Warning"`, warn},
		{"level", `30`, info},
		{"severity", `"ERROR"`, err},
		{"lvl", `"dbug"`, debug},
		{"log.level", `"fatal"`, fatal},
		{"level", `"gold"`, unknown},
		{"level", `""`, unknown},
		{"level", `"`, unknown},
		{"level", ``, unknown},
		{"level", `3`, unknown},
		{"level", `{"a":1}`, unknown},
		{"level", `"mon"`, unknown},
		{"level", `null`, unknown},
	} {
		if got := Value(c.value); !Key(c.name) || got != c.want {
			t.Errorf("%s=%s states %s, want %s", c.name, c.value, got, c.want)
		}
	}
	for _, name := range []string{"", "levels", "error", "level_value", "message", "log"} {
		if Key(name) {
			t.Errorf("%q names a level", name)
		}
	}
}

// TestAllocations also tries the beginnings of the lines, which are malformed in many ways.
func TestAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(1, func() {
		for _, line := range lines {
			for i := range line.text {
				Of(line.text[:i])
			}
		}
	}); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

// TestLongLines tries lines of 1 MiB. Most take microseconds, and JSON takes some milliseconds. A
// search that is not linear would delay this test for ever.
func TestLongLines(t *testing.T) {
	for _, part := range []string{
		"[", "(", "{", "<", "-", " ", "a", "1", `"`, `\`, `{"log":`, `{"a":[`, `"a":"\\"`, "a=1 ", "a.b=", "no ", "\x1b[", "\x1b", "é",
	} {
		for _, begin := range []string{"", `{"`, `{"a":"`, "[", "a=", `a="`} {
			if l := Of(begin + strings.Repeat(part, 1<<20/len(part))); l != unknown {
				t.Errorf("%q and many %q state %s", begin, part, l)
			}
		}
	}
}

func FuzzOf(f *testing.F) {
	for _, line := range lines {
		f.Add(line.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, l := range []sdk.Level{Of(text), Value(text)} {
			if l > sdk.LevelFatal {
				t.Errorf("%q states %d", text, l)
			}
		}
		if Key(text) && len(text) > len("severity_text") {
			t.Errorf("%q names a level", text)
		}
	})
}

// BenchmarkOf takes one line after the other, both as it is and with text up to 200 bytes.
func BenchmarkOf(b *testing.B) {
	bench := func(name string, texts []string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				Of(texts[i%len(texts)])
			}
		})
	}
	var all []string
	for _, line := range lines {
		if text := line.text; len(text) > 0 && text[0] == '{' {
			all = append(all, text)
		} else {
			all = append(all, text+strings.Repeat(" and so on", 20)[:max(0, 200-len(text))])
		}
	}
	bench("all", all)
	bench("access", []string{strings.Repeat("10.164.1.1 GET / - 5", 10)})
	bench("text", []string{strings.Repeat("the quick brown fox ", 10)})
	bench("JSON without", []string{`{"time":"2024-01-01T10:00:00.123456Z","message":"` + strings.Repeat("x", 80) + `","status":200,"path":"/items/5","user":{"id":5,"name":"x"},"ok":true}`})
	if os.Getenv("LEVEL_EACH") != "" {
		for _, text := range all {
			bench(text[:min(20, len(text))], []string{text})
		}
	}
}
