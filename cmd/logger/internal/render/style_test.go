package render

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestHighlightGivesColoursBack has a mark in every possible place of a coloured line.
func TestHighlightGivesColoursBack(t *testing.T) {
	const mark, end = "\x1b[1;31m", "\x1b[0m"
	for name, tc := range map[string]struct{ message, want string }{
		"none":               {"a HIT b", "a " + mark + "HIT" + end + " b"},
		"twice":              {"HITHIT", mark + "HIT" + end + mark + "HIT" + end},
		"colour":             {"\x1b[32ma HIT b", "\x1b[32ma " + end + mark + "HIT" + end + "\x1b[32m b" + end},
		"bold and ground":    {"\x1b[1;33;44ma HIT b", "\x1b[1;33;44ma " + end + mark + "HIT" + end + "\x1b[1m\x1b[33m\x1b[44m b" + end},
		"one after another":  {"\x1b[1m\x1b[32m\x1b[35ma HIT b", "\x1b[1m\x1b[32m\x1b[35ma " + end + mark + "HIT" + end + "\x1b[1m\x1b[35m b" + end},
		"256 colours":        {"\x1b[38;5;208ma HIT b", "\x1b[38;5;208ma " + end + mark + "HIT" + end + "\x1b[38;5;208m b" + end},
		"true colours":       {"\x1b[38;2;1;2;3;48;2;0;0;0ma HIT b", "\x1b[38;2;1;2;3;48;2;0;0;0ma " + end + mark + "HIT" + end + "\x1b[38;2;1;2;3m\x1b[48;2;0;0;0m b" + end},
		"with colons":        {"\x1b[38:2::1:2:3ma HIT b", "\x1b[38:2::1:2:3ma " + end + mark + "HIT" + end + "\x1b[38:2::1:2:3m b" + end},
		"reset before":       {"\x1b[32ma\x1b[m HIT b", "\x1b[32ma\x1b[m " + mark + "HIT" + end + " b" + end},
		"reset at its end":   {"\x1b[32mHIT\x1b[0m b", "\x1b[32m" + end + mark + "HIT" + end + " b" + end},
		"reset inside":       {"\x1b[32ma HI\x1b[0mT b", "\x1b[32ma " + end + mark + "HIT" + end + " b" + end},
		"colour inside":      {"a HI\x1b[32mT b", "a " + mark + "HIT" + end + "\x1b[32m b" + end},
		"back to none":       {"\x1b[32;1ma HI\x1b[39mT b", "\x1b[32;1ma " + end + mark + "HIT" + end + "\x1b[1m b" + end},
		"reset, then colour": {"\x1b[1;32ma\x1b[0;36m HIT b", "\x1b[1;32ma\x1b[0;36m " + end + mark + "HIT" + end + "\x1b[36m b" + end},
		"curly line ended":   {"\x1b[4:3ma\x1b[4:0m HIT b", "\x1b[4:3ma\x1b[4:0m " + mark + "HIT" + end + " b" + end},
		"incomplete":         {"\x1b[32m\x1b[38ma\x1b[38;5m HIT b", "\x1b[32m\x1b[38ma\x1b[38;5m " + end + mark + "HIT" + end + "\x1b[32m b" + end},
		"unknown":            {"\x1b[777;32ma HIT b", "\x1b[777;32ma " + end + mark + "HIT" + end + "\x1b[32m b" + end},
		"next line":          {"\x1b[32ma\nHIT b", "\x1b[32ma\n" + end + mark + "HIT" + end + "\x1b[32m b" + end},
	} {
		o := Options{Format: Raw, Colour: true, Highlight: regexp.MustCompile("HIT|x*")}
		if got := printed(t, o, entry(tc.message)); got != tc.want+"\n" {
			t.Errorf("%s: %q, want %q", name, got, tc.want+"\n")
		}
	}
	// A line that is cut leaves its colours to the next line.
	o := Options{Format: Raw, Colour: true, MaxWidth: 3}
	if got, want := printed(t, o, entry("\x1b[32mlong line\nok\nlonger")), "\x1b[32mlon"+end+note(len("long line")+len("\x1b[32m"))+"\x1b[32m\nok\nlon"+end+note(6)+"\x1b[32m"+end+"\n"; got != want {
		t.Errorf("cut: %q, want %q", got, want)
	}
}

// note returns the text after the beginning of a line that was cut.
func note(length int) string {
	return fmt.Sprintf("\x1b[2m … [a line of %d bytes; --max-width 0 shows all]\x1b[0m", length)
}

// screen returns what a terminal shows: each letter with its style, as "fg 32,bold x".
func screen(text string) (letters []string) {
	on := map[string]string{}
	for len(text) > 0 {
		if text[0] != esc {
			style := make([]string, 0, len(on))
			for slot, value := range on {
				style = append(style, slot+" "+value)
			}
			slices.Sort(style)
			letters = append(letters, strings.Join(style, ",")+" "+text[:1])
			text = text[1:]
			continue
		}
		n := strings.IndexByte(text, 'm')
		codes := strings.Split(text[2:n], ";")
		text = text[n+1:]
		for i := 0; i < len(codes); i++ {
			code, _ := strconv.Atoi(codes[i])
			switch {
			case code == 0:
				clear(on)
			case code == 22:
				delete(on, "1")
				delete(on, "2")
			case code == 24, code == 27:
				delete(on, strconv.Itoa(code-20))
			case code == 39:
				delete(on, "fg")
			case code == 49:
				delete(on, "bg")
			case code == 38 || code == 48:
				n := map[string]int{"5": 3, "2": 5}[codes[i+1]]
				on[map[int]string{38: "fg", 48: "bg"}[code]] = strings.Join(codes[i:i+n], ";")
				i += n - 1
			case code >= 30 && code < 38, code >= 90 && code < 98:
				on["fg"] = codes[i]
			case code >= 40 && code < 48, code >= 100 && code < 108:
				on["bg"] = codes[i]
			default:
				on[codes[i]] = ""
			}
		}
	}
	return letters
}

// TestHighlightOnAScreen: with marks, each letter of a message looks the same as without, except
// those that match, which look like a mark and nothing else.
func TestHighlightOnAScreen(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	codes := []string{"", "0", "1", "2", "4", "7", "22", "24", "27", "31", "36", "39", "42", "49", "97", "103", "38;5;208", "48;2;1;2;3", "1;32", "0;44", "39;1"}
	hit := regexp.MustCompile("x+|yz")
	for range 2000 {
		var b strings.Builder
		for range random.IntN(30) {
			if random.IntN(2) == 0 {
				b.WriteString("\x1b[" + codes[random.IntN(len(codes))] + "m")
			} else {
				b.WriteByte("axyz\n"[random.IntN(5)])
			}
		}
		message := b.String()
		show := func(marks *regexp.Regexp) []string {
			return screen(strings.TrimSuffix(printed(t, Options{Format: Raw, Colour: true, Highlight: marks}, entry(message)), "\n"))
		}
		want := show(nil)
		for _, m := range hit.FindAllStringIndex(Clean(message, false), -1) {
			for i := m[0]; i < m[1]; i++ {
				want[i] = "1 ,fg 31 " + want[i][len(want[i])-1:]
			}
		}
		if got := show(hit); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %q: %q, want %q", seed, message, got, want)
		}
	}
}
