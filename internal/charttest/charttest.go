// Package charttest renders the Helm chart for tests, with the version of helm that the project
// pins.
package charttest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Release and Namespace name the installation that is rendered.
const (
	Release   = "release"
	Namespace = "deis"
)

// root is the repository's root folder.
var root = func() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}()

// Dir is the chart's folder.
var Dir = filepath.Join(root, "charts", "logger")

// helm returns the program's path. The go command builds the program, and caches it.
var helm = sync.OnceValues(func() (string, error) {
	tool := []string{"tool", "-modfile=tools/helm/go.mod"}
	for _, args := range [][]string{{"helm", "version", "--short"}, {"-n", "helm"}} { // -n does not build
		cmd := exec.Command("go", append(tool, args...)...)
		cmd.Dir = root
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("go %q: %w: %s", append(tool, args...), err, &stderr)
		}
		if args[0] == "-n" {
			return strings.TrimSpace(string(out)), nil
		}
	}
	return "", errors.New("unreachable")
})

// Helm returns the path of the helm program that the project pins.
func Helm(t testing.TB) string {
	t.Helper()
	program, err := helm()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// template runs helm template on the chart in dir, with values as a YAML document.
func template(t testing.TB, dir, values string) (manifests, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Helm(t), "template", Release, dir, "--namespace", Namespace, "--kube-version", "1.33.0", "-f", "-")
	cmd.Stdin = strings.NewReader(values)
	var out, diagnosis strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &diagnosis
	err = cmd.Run()
	if err == nil {
		record(t, values)
	}
	return out.String(), diagnosis.String(), err
}

// RecordEnv names an environment variable. If the variable names a folder, each document of values
// that renders is written there: make chart-live installs the chart with all of them.
const RecordEnv = "CHARTTEST_RECORD"

func record(t testing.TB, values string) {
	t.Helper()
	dir := os.Getenv(RecordEnv)
	if dir == "" {
		return
	}
	name := fmt.Sprintf("%x.yaml", sha256.Sum256([]byte(values)))
	if err := os.WriteFile(filepath.Join(dir, name), []byte(values), 0o600); err != nil { //nolint:gosec // whoever runs the test names the folder
		t.Fatal(err)
	}
}

// Notes returns what helm install would print. Because helm needs a cluster for that, a copy of the
// chart renders its NOTES.txt into a ConfigMap.
func Notes(t testing.TB, values string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "logger")
	if err := os.CopyFS(dir, os.DirFS(Dir)); err != nil {
		t.Fatal(err)
	}
	templates := filepath.Join(dir, "templates")
	notes, err := os.ReadFile(filepath.Join(templates, "NOTES.txt"))
	if err != nil {
		t.Fatal(err)
	}
	manifest := "{{- define \"notes\" }}" + string(notes) + "{{ end -}}\n" +
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {notes: {{ include \"notes\" . | toJson }}}\n"
	if err := os.WriteFile(filepath.Join(templates, "notes.yaml"), []byte(manifest), 0o600); err != nil { //nolint:gosec // the path is the test's own
		t.Fatal(err)
	}
	var rendered struct{ Data map[string]string }
	if !render(t, dir, values).Find(t, "ConfigMap", "notes", &rendered) {
		t.Fatal("the notes were not rendered")
	}
	return rendered.Data["notes"]
}

// Render renders the chart with the values, a YAML document.
func Render(t testing.TB, values string) Manifests {
	t.Helper()
	return render(t, Dir, values)
}

func render(t testing.TB, dir, values string) Manifests {
	t.Helper()
	text, stderr, err := template(t, dir, values)
	if err != nil {
		t.Fatalf("render the chart with\n%s\n%v: %s", values, err, stderr)
	}
	var all Manifests
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var node yaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if node.IsZero() || len(node.Content) > 0 && node.Content[0].Tag == "!!null" {
			continue // the template rendered only comments
		}
		m := manifest{node: node}
		if err := node.Decode(&m); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		all = append(all, m)
	}
}

// Refusal returns the line by which the chart refuses the values.
func Refusal(t testing.TB, values string) string {
	t.Helper()
	text, stderr, err := template(t, Dir, values)
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		t.Fatalf("the chart renders with\n%s\n(%v):\n%s", values, err, text)
	}
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "Error: ") {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("no error in %s", stderr)
	return ""
}

// Manifests holds the rendered manifests.
type Manifests []manifest

type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	node     yaml.Node
}

// Find decodes the manifest of that kind and name. It returns false if there is none.
func (m Manifests) Find(t testing.TB, kind, name string, into any) bool {
	t.Helper()
	for _, one := range m {
		if one.Kind == kind && one.Metadata.Name == name {
			if err := one.node.Decode(into); err != nil {
				t.Fatalf("%s %s: %v", kind, name, err)
			}
			return true
		}
	}
	return false
}
