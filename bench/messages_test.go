package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/internal/corpus"
)

// keys returns the names of a message's members. Those of inner objects follow a dot.
func keys(t *testing.T, message []byte) []string {
	t.Helper()
	var top map[string]any
	if err := json.Unmarshal(message, &top); err != nil {
		t.Fatalf("%v: %s", err, message)
	}
	var all []string
	var walk func(prefix string, of map[string]any)
	walk = func(prefix string, of map[string]any) {
		for _, name := range slices.Sorted(maps.Keys(of)) {
			all = append(all, prefix+name)
			if inner, ok := of[name].(map[string]any); ok {
				walk(prefix+name+".", inner)
			}
		}
	}
	walk("", top)
	return all
}

func TestMessagesHaveTheShapeOfTheCorpus(t *testing.T) {
	var app, controller []byte
	for _, m := range corpus.Messages() {
		switch isController := strings.Contains(string(m), "deis-controller-"); {
		case isController && controller == nil:
			controller = m
		case !isController && app == nil:
			app = m
		}
	}
	s := workload{apps: apps, lineBytes: lineBytes, messages: 1000}
	if got, want := keys(t, s.message(0)), keys(t, app); !slices.Equal(got, want) {
		t.Errorf("an app's message has %q, the corpus %q", got, want)
	}
	if got, want := keys(t, s.message(controllerEvery-1)), keys(t, controller); !slices.Equal(got, want) {
		t.Errorf("a controller's message has %q, the corpus %q", got, want)
	}
	total, controllers := 0, 0
	for i := range s.messages {
		m := s.message(i)
		total += len(m)
		if strings.Contains(string(m), "deis-controller-") {
			controllers++
		}
	}
	if mean := total / s.messages; mean < 700 || mean > 760 {
		t.Errorf("messages have %d bytes on average, want about 730", mean)
	}
	if controllers != s.messages/100 {
		t.Errorf("%d of %d messages are the controller's, want 1 in 100", controllers, s.messages)
	}
}

func TestTextHasItsSize(t *testing.T) {
	for _, size := range []int{50, 200, 2 << 10, 20 << 10} {
		if got := text(123456, size); len(got) != size {
			t.Errorf("a line of %d bytes, want %d", len(got), size)
		}
	}
}
