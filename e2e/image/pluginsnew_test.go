package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

// TestImageOfNewPlugin: a plugin that "logger plugins new" wrote in Go can be put on top of our
// image, by its own Makefile and Dockerfile.
func TestImageOfNewPlugin(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in := func(dir, program string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", program, args, err, out)
		}
	}
	logger := filepath.Join(dir, "logger")
	in(root, "go", "build", "-o", logger, "./cmd/logger")
	in(dir, logger, "plugins", "new", "storage", "my-own", "--sdk", root)
	dir = filepath.Join(dir, "logger-storage-my-own")
	in(dir, "sh", "-c", "umask 002; make image DOCKER=true") // makes all but the image
	dockerfile := filepath.Join(dir, "Dockerfile")
	text, err := os.ReadFile(dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	ours := strings.Replace(string(text), "FROM deis/logger:canary\n", "FROM "+name+"\n", 1)
	if ours == string(text) {
		t.Fatalf("it is not on top of the image of a build that is no release: %s", text)
	}
	if err := os.WriteFile(dockerfile, []byte(ours), 0o600); err != nil {
		t.Fatal(err)
	}
	theirs := strings.Replace(name, ":", "-my-own:", 1)
	buildah(t, "bud", "--quiet", "--pull-never", "--tag", theirs, dir)
	t.Cleanup(func() { buildah(t, "rmi", "--force", theirs) })

	queue := harness.NewQueue(t)
	l := run(t, theirs, harness.NSQEnv(queue.TCPAddr()))
	queue.Publish("logs", harness.Numbered(1, 3))
	l.Until("the line is kept", func() bool { return strings.Count(l.Lines("app-3"), "\n") == 1 })
	if p := l.Plugin("storage"); p.Name != "my-own" {
		t.Errorf("the storage is %q", p.Name)
	}
}
