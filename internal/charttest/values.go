package charttest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// ValueNames returns the names of all values of the chart, as a.b.c. They come from the schema,
// which refuses other names. Members of lists, and of maps with arbitrary keys, are not listed.
func ValueNames(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Dir, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema node
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	names := schema.leaves("")
	slices.Sort(names)
	return names
}

// node holds a part of a JSON schema.
type node struct{ Properties map[string]node }

func (n node) leaves(name string) (names []string) {
	for property, value := range n.Properties {
		names = append(names, value.leaves(strings.TrimPrefix(name+"."+property, "."))...)
	}
	if len(names) == 0 {
		return []string{name}
	}
	return names
}

// Set sets the value of that name, a.b.c, to the value that text has as YAML.
func Set(t testing.TB, values map[string]any, name, text string) {
	t.Helper()
	parts := strings.Split(name, ".")
	for _, part := range parts[:len(parts)-1] {
		inner, ok := values[part].(map[string]any)
		if !ok {
			inner = map[string]any{}
			values[part] = inner
		}
		values = inner
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	values[parts[len(parts)-1]] = value
}

// Default returns the value of that name in the chart's own values, as YAML.
func Default(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Dir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal(b, &value); err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(name, ".") {
		inner, ok := value.(map[string]any)
		if !ok {
			t.Fatalf("values.yaml has no %s", name)
		}
		value = inner[part]
	}
	return YAML(t, value)
}

// YAML returns a value as YAML.
func YAML(t testing.TB, value any) string {
	t.Helper()
	b, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
