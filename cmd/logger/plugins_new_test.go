package main

import (
	"strings"
	"testing"
)

// TestNewPinsTheRelease: a plugin begun by a release uses that release's SDK and image.
func TestNewPinsTheRelease(t *testing.T) {
	defer func(was string) { version = was }(version)
	version = "v1.2.3"
	for _, kind := range []string{"storage", "aggregator"} {
		for _, lang := range pluginLanguages {
			p, err := parseNew([]string{"--lang", lang, kind, "2-be"})
			if err != nil {
				t.Fatal(err)
			}
			files, err := p.files()
			if err != nil {
				t.Fatal(err)
			}
			for file, want := range map[string]string{
				"go.mod": "require github.com/deis/logger v1.2.3\n", "Dockerfile": "FROM deis/logger:v1.2.3",
				".github/workflows/ci.yml": "@v1.2.3\n",
			} {
				if has := strings.Contains(files[file], want); has == (lang == "go" && strings.HasPrefix(file, ".") || lang != "go" && file == "go.mod") {
					t.Errorf("%s in %s: %s has %q: %t", kind, lang, file, want, has)
				}
			}
			for name, text := range files {
				for _, rest := range []string{"myplugin", "MYPLUGIN", "{{", "../", "replace ", "storage-node", "storage-python"} {
					if strings.Contains(text, rest) && (kind == "aggregator" || !strings.HasPrefix(rest, "storage-")) {
						t.Errorf("%s in %s: %s has %q", kind, lang, name, rest)
					}
				}
			}
			if kind == "aggregator" && !strings.Contains(files["README.md"], "PLUGIN_2_BE_DIR") {
				t.Errorf("no shell takes the setting of %s", files["README.md"])
			}
		}
	}
}

// TestNewWithoutRelease: a build that is not a release cannot be fetched.
func TestNewWithoutRelease(t *testing.T) {
	defer func(was string) { version = was }(version)
	for _, version = range []string{"dev", "75db195", "v1.2.3-4-g75db195", "v1.2.3-dirty"} {
		if _, err := parseNew([]string{"storage", "x"}); err == nil || !strings.Contains(err.Error(), "--sdk PATH") {
			t.Errorf("%s: %v", version, err)
		}
	}
	version = "v0.1.0-rc.1"
	if _, err := parseNew([]string{"storage", "x"}); err != nil {
		t.Error(err)
	}
}
