package main

import (
	"bufio"
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func readMessages(data string, limit int) (messages []string, err error) {
	r := bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(data)), 16)
	for {
		message, err := readMessage(r, limit)
		if err != nil {
			return messages, err
		}
		messages = append(messages, string(message))
	}
}

// TestFraming reads both framings of RFC 6587, and one after the other.
func TestFraming(t *testing.T) {
	long := "<1>" + strings.Repeat("x", 100)
	for name, tt := range map[string]struct {
		data string
		want []string
		cut  bool
	}{
		"nothing":                     {"", nil, false},
		"lines":                       {"<1>a\n<2>b\r\n\n<3>c", []string{"<1>a", "<2>b", "", "<3>c"}, false},
		"lengths":                     {"4 <1>a6 <2>b\nc4 <3>d", []string{"<1>a", "<2>b\nc", "<3>d"}, false},
		"both":                        {"4 <1>a<2>b\n4 <3>c", []string{"<1>a", "<2>b", "<3>c"}, false},
		"a line that begins with one": {"12 green bottles\n4 \n123\n0 <1>a\n", []string{"12 green bottles", "4 ", "123", "0 <1>a"}, false},
		"a length too long":           {"12345678901 <1>a\n", []string{"12345678901 <1>a"}, false},
		"digits at the end":           {"12", []string{"12"}, false},
		"cut inside a length":         {"9 <1>a", nil, true},
		"cut off":                     {"103 " + long + long + "\n<2>b\n", []string{long[:50], long[:50], "<2>b"}, false},
		"cut off inside what is cut":  {"300 " + long, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readMessages(tt.data, 50)
			if !slices.Equal(got, tt.want) || err == nil || errors.Is(err, errCut) != tt.cut {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// FuzzFraming frames two messages by their lengths and expects them back, whatever is in them.
func FuzzFraming(f *testing.F) {
	f.Add([]byte("a\nb"), []byte("12 <"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var data bytes.Buffer
		frame(&data, "<1>", a)
		frame(&data, "<1>", b)
		got, err := readMessages(data.String(), 1<<20)
		if want := []string{"<1>" + string(a), "<1>" + string(b)}; !slices.Equal(got, want) || errors.Is(err, errCut) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		_, _ = readMessages(string(a)+string(b), 16) // it ends
	})
}
