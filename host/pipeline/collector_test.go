package pipeline

import (
	"strings"
	"testing"

	"github.com/deis/logger/internal/corpus"
)

// TestOriginOfTheCorpus recognises each collector of the corpus by its messages, and does not take
// curl for one.
func TestOriginOfTheCorpus(t *testing.T) {
	for _, s := range corpus.Samples() {
		want, _, _ := strings.Cut(strings.ReplaceAll(s.App, "curl", "unknown"), "-docker")
		if got := originOf([]byte(s.Payload)); got != (origin{want, formLabels}) {
			t.Errorf("%s, %s: %+v, want %s with labels", s.App, s.Form, got, want)
		}
	}
}

// TestNotSelectedOfManyNamespaces counts the first namespaces one by one, and the others together.
func TestNotSelectedOfManyNamespaces(t *testing.T) {
	b := &books{leftOut: map[string]uint64{}}
	for i := range 3 * mostNamespaces {
		b.leaveOut(strings.Repeat("x", i))
	}
	if len(b.leftOut) != mostNamespaces+1 || b.leftOut["(others)"] != 2*mostNamespaces || b.leftOut["x"] != 1 {
		t.Errorf("%d namespaces, %d others", len(b.leftOut), b.leftOut["(others)"])
	}
}
