package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deis/logger/sdk"
)

// TestReferenceIsFresh compares the reference with the code; make configuration writes it.
func TestReferenceIsFresh(t *testing.T) {
	want, err := document("../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil || string(got) != want {
		t.Errorf("docs/configuration.md is not what the code gives (%v): run make configuration and commit the result", err)
	}
	for _, row := range []string{
		"| `NUMBER_OF_LINES` | `1000` | number, at least 1 | lines kept per app |",
		"| `DEIS_LOGGER_REDIS_PASSWORD` |  | text, **secret** |",
		"| `LOGGER_MAX_LINE_BYTES` | `64KiB` | size, such as 64KiB, 256 to 1MiB |",
	} {
		if !strings.Contains(want, row) {
			t.Errorf("no row %s", row)
		}
	}
}

// TestForgottenVariablesAreFound: a variable that the programs read has to be listed.
func TestForgottenVariablesAreFound(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"cmd", "host", "client", "plugins"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	source := "package main\n\nvar x = os.Getenv(\"LOGGER_FORGOTTEN\")\n"
	if err := os.WriteFile(filepath.Join(root, "cmd", "x.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := document(root); err == nil || !strings.Contains(err.Error(), "x.go: LOGGER_FORGOTTEN is in no list") {
		t.Errorf("got %v", err)
	}
}

// TestInheritedVariablesAreListedOnce: the reference has every variable of the host's environment
// that a plugin sees. The page for plugin authors refers to it, and has no list of its own.
func TestInheritedVariablesAreListedOnce(t *testing.T) {
	text, err := document("../..")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(text, "\n## The Go run-time\n")
	page, err := os.ReadFile("../../docs/plugins/README.md")
	if err != nil || !ok || !strings.Contains(string(page), "(../configuration.md#the-go-run-time)") {
		t.Fatalf("the page does not refer to the reference's section (%t, %v)", ok, err)
	}
	for _, name := range sdk.Inherited() {
		if !strings.Contains(section, "`"+name+"`") {
			t.Errorf("the reference does not say that a plugin sees %s", name)
		}
		if strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/plugins/README.md lists %s itself", name)
		}
	}
}
