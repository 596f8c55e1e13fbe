package render

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/deis/logger/client"
)

func TestClean(t *testing.T) {
	const red, bare = "\x1b[31m", ""
	for in, want := range map[string]struct{ plain, coloured string }{
		"": {"", ""},
		"plain text, ünïcödé, 日本語, 👩‍👩‍👧": {"plain text, ünïcödé, 日本語, 👩‍👩‍👧", "plain text, ünïcödé, 日本語, 👩‍👩‍👧"},
		"tab\tand\nnewline":            {"tab\tand\nnewline", "tab\tand\nnewline"},
		red + "x\x1b[0m":               {"x", red + "x\x1b[0m"},
		"\x1b[1;38;5;208;48;2;1;2;3mx": {"x", "\x1b[1;38;5;208;48;2;1;2;3mx"},
		"\x1b[38:2::1:2:3mx":           {"x", "\x1b[38:2::1:2:3mx"},
		"\x1b[mx":                      {"x", "\x1b[mx"},
		"\u009b31mx":                   {"x", red + "x"},
		// hiding text
		"\x1b[8mx":           {"x", bare + "x"},
		"\x1b[1;08mx":        {"x", "x"},
		"\x1b[38;5;8mx":      {"x", "\x1b[38;5;8mx"},
		"\x1b[38;2;8;8;8;8m": {"", ""},
		// moving, erasing, asking, setting
		"a\x1b[2J\x1b[1;1Hb":       {"ab", "ab"},
		"a\x1b[1A\x1b[2Kb":         {"ab", "ab"},
		"a\x1b[?1049hb":            {"ab", "ab"},
		"a\x1b[>4;2mb":             {"ab", "ab"},
		"a\x1b[6nb":                {"ab", "ab"},
		"a\x1b[1 qb":               {"ab", "ab"},
		"a\x1bcb\x1b7c\x1b=d":      {"abcd", "abcd"},
		"a\x1b(0lqk\x1b(Bb":        {"alqkb", "alqkb"},
		"a\x1b#8b":                 {"ab", "ab"},
		"a\u009b2Jb\u0084c\u008dd": {"abcd", "abcd"},
		// strings that a terminal keeps to itself
		"a\x1b]0;title\x07b":                            {"ab", "ab"},
		"a\x1b]0;title\x1b\\b":                          {"ab", "ab"},
		"a\u009d0;title\u009cb":                         {"ab", "ab"},
		"a\x1b]52;c;cm0gLXJm\x07b":                      {"ab", "ab"},
		"\x1b]8;;https://evil\x1b\\link\x1b]8;;\x1b\\!": {"link!", "link!"},
		"a\x1bPq#0;2;0;0;0\x1b\\b":                      {"ab", "ab"},
		"a\x1b_G\x1b\\b\x1b^x\x1b\\c\x1bXy\x1b\\d":      {"abcd", "abcd"},
		"a\x1b]0;t\x18b":                                {"ab", "ab"},
		"a\x1b]0;t" + red + "b":                         {"ab", "a" + red + "b"},
		// unfinished: nothing is swallowed
		"a\x1b]0;the rest":   {"a0;the rest", "a0;the rest"},
		"a\x1b]0;\nnext\x07": {"a0;\nnext", "a0;\nnext"},
		"a\x1b[31":           {"a31", "a31"},
		"a\x1b[3\n1mb":       {"a3\n1mb", "a3\n1mb"},
		"a\x1b":              {"a", "a"},
		"a\x1b\x1b[31mb":     {"ab", "a" + red + "b"},
		"a\x1b\x1b[2J[31mb":  {"a[31mb", "a[31mb"},
		"\x1b[" + strings.Repeat("1;", 40) + "1mx": {"x", "x"},
		// carriage returns
		"dos\r\nlines\r":               {"dos\nlines", "dos\nlines"},
		"10%\r20%\r\r30%":              {"10% 20% 30%", "10% 20% 30%"},
		"real\rfake\r\r\nx":            {"real fake\nx", "real fake\nx"},
		"a\vb\fc\u0085d\u2028e\u2029f": {"a b c d e f", "a b c d e f"},
		// other controls
		"a\x00b\x07c\bd\x7fe\x0ef": {"abcdef", "abcdef"},
		// the direction of writing
		"user\u202e nimda\u202c \u2066x\u2069":                 {"user nimda x", "user nimda x"},
		"עברית\u200f العربية\u200e\u061c":                      {"עברית العربية", "עברית العربية"},
		"a\ufff9b\ufffac\ufffb\U000e0041\U000e007f\U000e0000d": {"abcd", "abcd"},
		"a\x1b[8:0mb":    {"ab", "ab"},
		"a\x1b[38:5:8mb": {"ab", "a\x1b[38:5:8mb"},
		// no UTF-8: a terminal might take 0x9b for a C1
		"a\x9b31mb\xff\xc2": {"a\uFFFD31mb\uFFFD\uFFFD", "a\uFFFD31mb\uFFFD\uFFFD"},
		"\uFFFD":            {"\uFFFD", "\uFFFD"},
	} {
		if got := Clean(in, false); got != want.plain {
			t.Errorf("%q: %q, want %q", in, got, want.plain)
		}
		if got := Clean(in, true); got != want.coloured {
			t.Errorf("%q in colour: %q, want %q", in, got, want.coloured)
		}
	}
}

// aColour matches the sequences that Clean lets through. It lets through nothing else that a
// terminal obeys.
var aColour = regexp.MustCompile("\x1b\\[[0-9;:]{0,64}m")

func FuzzClean(f *testing.F) {
	for _, seed := range []string{
		"plain", "\x1b[31mred\x1b[0m", "\u009b31m", "\x1b]0;t\x07", "\x1bPx\x1b\\", "a\rb\r\n", "\x1b\x1b[[2J31m", "\u202e", "\xff\x9b", "\x1b(0", "\x1b[3\x1b[31m1m",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, colour := range []bool{false, true} {
			got := Clean(s, colour)
			if !utf8.ValidString(got) {
				t.Fatalf("%q: %q is no UTF-8", s, got)
			}
			if again := Clean(got, colour); again != got {
				t.Fatalf("%q: %q, and again %q", s, got, again)
			}
			rest := got
			if colour {
				rest = aColour.ReplaceAllString(got, "")
			}
			for _, r := range rest {
				if obeyed(r) {
					t.Fatalf("%q: %q is left in %q", s, r, got)
				}
			}
			if n := strings.Count(got, "\n"); n != strings.Count(s, "\n") {
				t.Fatalf("%q: %d newlines in %q", s, n, got)
			}
		}
	})
}

func FuzzCut(f *testing.F) {
	f.Add("plain text", 4)
	f.Add("日本語日本語", 5)
	f.Add("\x1b[31mred\x1b[0m👩‍👩‍👧👩‍👩‍👧", 3)
	f.Add("e\u0301e\u0301e\u0301", 2)
	f.Fuzz(func(t *testing.T, s string, columns int) {
		line := strings.ReplaceAll(Clean(s, true), "\n", "")
		columns = max(1, columns%1000)
		got, cut := Cut(line, columns)
		if !strings.HasPrefix(line, got) || cut != (got != line) || !utf8.ValidString(got) {
			t.Fatalf("%q at %d: %q, %v", line, columns, got, cut)
		}
		if Clean(got, true) != got {
			t.Fatalf("%q at %d: %q ends in a colour", line, columns, got)
		}
		if cut && len(got) > bytesPerColumn*columns+len(strings.Join(aColour.FindAllString(got, -1), "")) {
			t.Fatalf("%q at %d: %d bytes", line, columns, len(got))
		}
	})
}

func TestCut(t *testing.T) {
	for _, tc := range []struct {
		line    string
		columns int
		want    string
	}{
		{"short", 5, "short"},
		{"longer", 5, "longe"},
		{"日本語", 4, "日本"},
		{"日本語", 5, "日本"},
		{"日本語", 6, "日本語"},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301e\u0301"},
		{"👩‍👩‍👧👩‍👩‍👧", 3, "👩‍👩‍👧"},
		{"\x1b[31mred\x1b[0m", 3, "\x1b[31mred\x1b[0m"},
		{"\x1b[31mredder", 3, "\x1b[31mred"},
		{"a" + strings.Repeat("\u0301", 1000), 1, "a" + strings.Repeat("\u0301", 7)},
	} {
		if got, cut := Cut(tc.line, tc.columns); got != tc.want || cut != (tc.want != tc.line) {
			t.Errorf("%q at %d: %q, %v, want %q", tc.line, tc.columns, got, cut, tc.want)
		}
	}
}

// TestCutBytes cuts a printed line of every kind at each of its bytes.
func TestCutBytes(t *testing.T) {
	for _, tc := range []struct {
		line  string
		limit int
		want  string
	}{
		{"one\n", 4, "one\n"},
		{"one\n", 3, "one"},
		{"aü", 2, "a"},
		{"\x1b[31mred\x1b[0m\n", 13, "\x1b[31mred\x1b[0m\n"},
		{"\x1b[31mred\x1b[0m\n", 12, "\x1b[31mred\x1b[0m"},
		{"\x1b[31mred\x1b[0m\n", 11, "\x1b[31mre\x1b[0m"},
		{"\x1b[31mred\x1b[0m\n", 8, ""},
		{"x\x1b[31mred\x1b[0m\n", 6, "x"},
		{"x\x1b[mred", 4, "x\x1b[m"},
		{"\u009b31mred\x1b[0m\n", 11, "\u009b31mre\x1b[0m"},
		{"a\x1b]0;title\x07b", 9, "a"},
		{"\xff\xfe\xfd", 2, "\xff\xfe"},
	} {
		if got := CutBytes(tc.line, tc.limit); got != tc.want {
			t.Errorf("%q at %d: %q, want %q", tc.line, tc.limit, got, tc.want)
		}
	}
	line := "\x1b[2m12:00\x1b[0m \x1b[1;31mfoo\x1b[0m\x1b[36m[web]:\x1b[0m \x1b[38;5;208mün\x1b[4mder\x1b[24m日本\x1b[0m\n"
	for limit := range len(line) + 1 {
		got := CutBytes(line, limit)
		var own style
		_, sequences := part(got)
		for _, s := range sequences {
			own.obey(s.params())
		}
		if len(got) > limit || len(got) < limit-len("\x1b[38;5;208m\x1b[4m\x1b[0m") || Clean(got, true) != got || len(own) > 0 {
			t.Errorf("at %d: %q", limit, got)
		}
	}
}

// TestJSONKeepsTags: escapes in JSON keep the value, also beyond the first plane.
func TestJSONKeepsTags(t *testing.T) {
	const message = "a\U000e0041\u200fb\u061c"
	raw := `{"message":"` + message + `"}`
	p := &Printer{}
	line := p.appendJSON(nil, &client.Record{Raw: []byte(raw)})
	var r struct{ Message string }
	if err := json.Unmarshal(line, &r); err != nil || r.Message != message || strings.ContainsRune(string(line), 0xe0041) {
		t.Errorf("%s: %q, %v", line, r.Message, err)
	}
}
