package read

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

// piecesOf returns entries by their texts: "a:x+" is a piece x of container a, and "a:y" the last
// piece of a line. A number of seconds stands for a time without entries.
func piecesOf(texts ...string) (entries []sdk.Entry) {
	at := time.Unix(1000, 0)
	for i, text := range texts {
		if pause, err := time.ParseDuration(text); err == nil {
			at = at.Add(pause)
			continue
		}
		container, message, _ := strings.Cut(text, ":")
		e := sdk.Entry{Position: uint64(i + 1), Published: at.Add(time.Duration(i)), Container: container}
		e.Message, e.Partial = strings.CutSuffix(message, "+")
		if strings.HasPrefix(message, "nee") { // the first piece states the line's level
			e.Level = sdk.LevelError
		}
		entries = append(entries, e)
	}
	return entries
}

// joinAll returns the lines of entries that are read at once.
func joinAll(j *joiner, entries []sdk.Entry) []sdk.Entry {
	return j.lines(context.Background(), &Span{Entries: entries}, 0, 0, Place{}, always).Entries
}

func TestJoiner(t *testing.T) {
	for name, c := range map[string]struct {
		entries []string
		maxLine int
		want    string
	}{
		"whole lines":                    {entries: []string{"a:1", "b:2"}, want: "[1 2]"},
		"pieces":                         {entries: []string{"a:1+", "a:2+", "a:3", "a:4"}, want: "[123 4]"},
		"of several containers":          {entries: []string{"a:1+", "b:2", "b:3+", "a:4+", "b:5", "a:6"}, want: "[2 35 146]"},
		"the first one evicted":          {entries: []string{"a:2+", "a:3"}, want: "[23]"},
		"the last one not here":          {entries: []string{"a:1", "a:2+", "b:3+", "a:4+"}, want: "[1 24+ 3+]"},
		"the last one after four":        {entries: []string{"a:1+", "4s", "a:2"}, want: "[12]"},
		"the last one after six seconds": {entries: []string{"a:1+", "6s", "b:2", "a:3"}, want: "[1+ 2 3]"},
		"an earlier one arrives later":   {entries: []string{"a:1+", "4s", "a:3+", "-2s", "a:2+", "2s", "a:4"}, want: "[1234]"},
		"cut":                            {entries: []string{"a:12+", "a:34+", "a:56"}, maxLine: 3, want: "[123(3)]"},
		"cut, and more":                  {entries: []string{"a:12+", "a:34+", "a:56+", "a:78"}, maxLine: 3, want: "[123(5)]"},
		"cut before a rune":              {entries: []string{"a:12+", "a:\u00e94"}, maxLine: 3, want: "[12(3)]"},
		"exactly as long":                {entries: []string{"a:12+", "a:3+", "a:"}, maxLine: 3, want: "[123]"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range joinAll(&joiner{maxLine: c.maxLine}, piecesOf(c.entries...)) {
				text := e.Message
				if e.CutBytes > 0 {
					text += fmt.Sprintf("(%d)", e.CutBytes)
				}
				if e.Partial {
					text += "+"
				}
				got = append(got, text)
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// TestMostOpenLines has more containers begin lines than may be open.
func TestMostOpenLines(t *testing.T) {
	for name, c := range map[string]struct{ lines, size, want int }{
		"many": {mostOpen + 10, 1, mostOpen},
		"long": {3, openBytes * 2 / 3, 1},
	} {
		j := &joiner{}
		for i := range c.lines {
			j.add(&piecesOf(fmt.Sprintf("c%d:%s+", i, strings.Repeat("x", c.size)))[0], func(sdk.Entry) {}) // one too many
		}
		if len(j.open) != c.want || len(joinAll(j, nil)) != c.want || j.bytes != 0 {
			t.Errorf("%s: %d lines are open, %d bytes are left", name, len(j.open), j.bytes)
		}
	}
}

// wantJoined returns the kept lines, joined by container. Each line is in the place of its last
// piece.
func wantJoined(s *storagefake.Storage, lines int) string {
	_, _, kept := s.Kept("foo")
	open := map[string]string{}
	var all, began []string
	for _, e := range kept {
		if _, has := open[e.Container]; !has && e.Partial {
			began = append(began, e.Container)
		}
		if open[e.Container] += e.Message; e.Partial {
			continue
		}
		all = append(all, open[e.Container])
		delete(open, e.Container)
		began = without(began, e.Container)
	}
	for _, container := range began {
		all = append(all, open[container])
	}
	if lines >= 0 && lines < len(all) {
		all = all[len(all)-lines:]
	}
	var b []byte
	show := Renderer{App: "foo"}
	for _, message := range all {
		b = show.Append(b, &sdk.Entry{Message: message})
	}
	return string(b)
}

func without(list []string, name string) (out []string) {
	for _, one := range list {
		if one != name {
			out = append(out, one)
		}
	}
	return out
}

// TestTextOfPieces reads the text of three containers whose lines come in pieces or whole, at
// random. Pages have any size, and the text is gathered first, or read while it is sent.
func TestTextOfPieces(t *testing.T) {
	random := seeded(t)
	for round := range 40 {
		s := &storagefake.Storage{Lines: 200, Page: []int{0, 17, 20, 50}[random.IntN(4)], NoVersions: random.IntN(4) == 0}
		r := New(Options{Storage: s, Timeout: 10 * time.Second})
		r.fresh = 0
		sent := random.IntN(3) == 0
		if sent {
			r.gather = random.IntN(1500)
		}
		n, share := 0, random.IntN(4)
		for step := range 40 {
			for range random.IntN(6) {
				for _, c := range random.Perm(3) {
					n++
					s.Add("foo", sdk.Entry{
						Message: fmt.Sprintf("%d.", n), Container: string(rune('a' + c)), Partial: n%15 > 3 && random.IntN(4) < share,
						Published: time.Unix(1000, int64(n)),
					})
				}
			}
			lines := []int{-1, 1, 2, 5, 40, 300}[random.IntN(6)]
			got, want := text(t, r, lines), wantJoined(s, lines)
			if sent && lines > 0 { // then it is only roughly known how many lines the pieces are
				got, want = lastLine(got), lastLine(want)
			}
			if got != want {
				t.Fatalf("round %d, step %d, %d lines, pages of %d, gathered %d: got\n%s\nwant\n%s", round, step, lines, s.Page, r.gather, got, want)
			}
		}
		if !r.idle() {
			t.Error("something is held")
		}
	}
}

func lastLine(text string) string {
	text = strings.TrimSuffix(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}
