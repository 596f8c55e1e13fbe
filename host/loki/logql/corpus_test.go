package logql

import (
	"bufio"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

// query holds one query of testdata/queries.txt.
type query struct {
	want string // yes, no or ours
	text string
}

func readQueries(t testing.TB) []query {
	t.Helper()
	f, err := os.Open("testdata/queries.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var queries []query
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		want, text, ok := strings.Cut(line, " ")
		if !ok {
			t.Fatalf("testdata/queries.txt: %q has no query", line)
		}
		queries = append(queries, query{want, text})
	}
	if len(queries) < 300 {
		t.Fatalf("testdata/queries.txt has %d queries", len(queries))
	}
	return queries
}

// TestParseQueries parses the queries that e2e compares with Grafana's grammar.
func TestParseQueries(t *testing.T) {
	for _, q := range readQueries(t) {
		e, err := Parse(q.text)
		if q.want != "yes" {
			var at *Error
			if !errors.As(err, &at) || at.Line != 1 || at.Column < 1 || at.Column > len(q.text)+1 || at.Reason == "" {
				t.Errorf("%s: error %v, want one with a place", q.text, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", q.text, err)
			continue
		}
		again(t, q.text, e)
	}
}

// again checks that an expression stays the same when it is written and parsed again.
func again(t *testing.T, text string, e Expr) {
	t.Helper()
	written := e.String()
	other, err := Parse(written)
	if err != nil {
		t.Errorf("%s: written as %s: %v", text, written, err)
		return
	}
	if !reflect.DeepEqual(other, e) || other.String() != written {
		t.Errorf("%s: written as %s, which is parsed as %s", text, written, other)
	}
}
