package image

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/charttest"
)

// TestExtraPlugin: the chart's init container brings a plugin out of a third party's image, and our
// image runs it after checking it against the chart's checksums. The init container copies with
// that image's own cp, as the pod's user and with a read-only root.
func TestExtraPlugin(t *testing.T) {
	theirs, sum := pluginImage(t)
	queue := harness.NewQueue(t)
	values := map[string]any{
		"storage": "kept", "extraPlugins": []any{map[string]any{"name": "kept", "image": theirs, "path": "/opt/kept"}},
		"checksums": sum + "  logger-storage-kept\n", "settings": map[string]any{"LOGGER_MEMORY_MAX_BYTES": "8MiB"},
	}
	pod := charttest.Render(t, charttest.YAML(t, values)).Logger(t)
	if len(pod.InitContainers) != 1 || pod.InitContainers[0].Image != theirs {
		t.Fatalf("the init containers are %+v", pod.InitContainers)
	}

	// The init container fills this volume. The kubelet gives it to the pod's group.
	volume := t.TempDir()
	if err := os.Chown(volume, 0, 10001); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(volume, 0o777|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	root := mount(t, theirs)
	for range 2 { // an init container runs again after its node restarts
		initiate(t, root, pod.InitContainers[0], volume)
	}
	if got, err := os.ReadDir(filepath.Join(volume, "kept")); err != nil || len(got) != 1 || got[0].Name() != "logger-storage-kept" {
		t.Errorf("copied: %v, %v; want the plugin alone", got, err)
	}

	c := pod.Containers[0]
	files := t.TempDir()
	pod.LayOut(t, c, nil, files)
	env := c.Environment(t, nil)
	delete(env, "LOGGER_LISTEN_ADDR") // run chooses a free port
	env["DEIS_NSQD_SERVICE_HOST"], env["DEIS_NSQD_SERVICE_PORT_TRANSPORT"], _ = strings.Cut(queue.TCPAddr(), ":")
	l := runWith(t, name, binds(c, volume, files), env)
	wantUser(t, l, 10001)
	if p := l.Plugin("storage"); p.Name != "kept" {
		t.Errorf("the storage is %+v", p)
	}
	queue.Publish("logs", harness.Numbered(1, 4))
	l.Until("the line is kept", func() bool { return strings.Count(l.Lines("app-4"), "\n") == 1 })
}

// initiate runs an init container until it ends.
func initiate(t *testing.T, root string, c charttest.Container, volume string) {
	t.Helper()
	cmd := contained(t, root, "10001:10001", "rw", []bind{{volume, c.VolumeMounts[0].MountPath}}, c.Command...)
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("init container %s, %q: %v: %s", c.Name, c.Command, err, out)
	}
}

// binds returns those of a container's mounts that are in the volume of the init containers or
// among the laid-out files.
func binds(c charttest.Container, volume, files string) (all []bind) {
	for _, m := range c.VolumeMounts {
		file := filepath.Join(files, m.MountPath)
		switch _, err := os.Stat(file); {
		case m.Name == "extra-plugins":
			all = append(all, bind{filepath.Join(volume, m.SubPath), m.MountPath})
		case err == nil:
			all = append(all, bind{file, m.MountPath})
		}
	}
	return all
}

// pluginImage builds a third party's image, which has a plugin and cp. It returns the plugin's
// checksum too.
func pluginImage(t *testing.T) (image, sum string) {
	t.Helper()
	dir := t.TempDir()
	plugin := filepath.Join(dir, "opt/kept/logger-storage-kept")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", plugin, "../testdata/extra")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	binary, err := os.ReadFile(plugin)
	if err != nil {
		t.Fatal(err)
	}
	copyWithLibraries(t, "cp", dir)
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY opt /opt\nCOPY root /\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	image = strings.Replace(name, ":", "-kept:", 1)
	buildah(t, "bud", "--quiet", "--tag", image, dir)
	t.Cleanup(func() { buildah(t, "rmi", "--force", image) })
	return image, fmt.Sprintf("%x", sha256.Sum256(binary))
}

// library matches a path in the output of ldd.
var library = regexp.MustCompile(`/\S+`)

// copyWithLibraries copies a command of this system, and the libraries that it loads, to the folder
// root in dir.
func copyWithLibraries(t *testing.T, command, dir string) {
	t.Helper()
	path, err := exec.LookPath(command)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ldd", path).Output()
	if err != nil {
		t.Fatalf("ldd %s: %v", path, err)
	}
	for _, file := range slices.Compact(append(library.FindAllString(string(out), -1), path)) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, "root", file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
