package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/internal/testrun"
)

// TestGrammarOfLogQL: the logger's parser and Grafana's own grammar accept the same queries, except
// for those that host/loki/logql/testdata/queries.txt lists as refused on purpose.
func TestGrammarOfLogQL(t *testing.T) {
	tool := filepath.Join("..", "tools", "logql-grammar")
	in(t, tool, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	list, err := os.ReadFile(filepath.Join("..", "host", "loki", "logql", "testdata", "queries.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var wants, queries []string
	var input bytes.Buffer
	for line := range strings.Lines(string(list)) {
		want, query, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || want == "#" {
			continue
		}
		wants, queries = append(wants, want), append(queries, query)
		if err := json.NewEncoder(&input).Encode(query); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "node", "accepts.mjs")
	cmd.Dir, cmd.Stdin = tool, &input
	stderr := &testrun.Output{}
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	answers := strings.Fields(string(out))
	if len(queries) < 300 || len(answers) != len(queries) {
		t.Fatalf("%d queries, and %d answers of the grammar", len(queries), len(answers))
	}
	for i, query := range queries {
		_, err := logql.Parse(query)
		ours, theirs := err == nil, answers[i] == "true"
		if ours != (wants[i] == "yes") || theirs != (wants[i] != "no") {
			t.Errorf("%s: the parser accepts it: %v (%v), the grammar: %v; listed as %q", query, ours, err, theirs, wants[i])
		}
	}
}
