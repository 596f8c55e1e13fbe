package image

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

// threeLines has the lines that make a third party's image, according to docs/plugins/packaging.md.
const threeLines = `FROM %s
COPY --chown=0:0 logger-storage-sqlite sqlite.sha256 /opt/logger/plugins/
ENV LOGGER_PLUGIN_CHECKSUMS=/opt/logger/plugins.sha256:/opt/logger/plugins/sqlite.sha256
`

// TestThirdPartyImage: a plugin that its author adds to our image runs. The host checks it against
// the author's list, and the bundled plugins against ours.
func TestThirdPartyImage(t *testing.T) {
	dir := t.TempDir()
	plugin := filepath.Join(dir, "logger-storage-sqlite")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", plugin, ".")
	build.Dir = "../../examples/storage-sqlite"
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	binary, err := os.ReadFile(plugin)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("sqlite.sha256", fmt.Sprintf("%x  logger-storage-sqlite\n", sha256.Sum256(binary)))
	write("Dockerfile", fmt.Sprintf(threeLines, name))
	doc, err := os.ReadFile("../../docs/plugins/packaging.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(threeLines + "CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o logger-storage-sqlite .\n") {
		if !strings.HasPrefix(line, "FROM") && !strings.Contains(string(doc), "    "+line) {
			t.Errorf("docs/plugins/packaging.md does not have the line %q", line)
		}
	}
	theirs := strings.Replace(name, ":", "-sqlite:", 1)
	buildah(t, "bud", "--quiet", "--pull-never", "--tag", theirs, dir)
	t.Cleanup(func() { buildah(t, "rmi", "--force", theirs) })

	queue := harness.NewQueue(t)
	l := run(t, theirs, harness.NSQEnv(queue.TCPAddr()), map[string]string{"STORAGE_ADAPTER": "sqlite", "SQLITE_PATH": "/run/logger/lines.db"})
	wantUser(t, l, 10001)
	queue.Publish("logs", harness.Numbered(1, 3))
	l.Until("the line is kept", func() bool { return strings.Count(l.Lines("app-3"), "\n") == 1 })
}
