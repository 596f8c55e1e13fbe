package image

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/deis/logger/e2e/harness"
)

// name is the image's, built once for all tests.
var name = fmt.Sprintf("localhost/logger-test-%d:v0.0.0", os.Getpid())

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(imageTests{m})
}

// imageTests removes the image after the tests.
type imageTests struct{ m *testing.M }

func (i imageTests) Run() int {
	if out, err := build(name); err != nil {
		fmt.Fprintf(os.Stderr, "build the image (buildah, as root: see tools/install-test-deps.sh): %v\n%s", err, out)
		return 1
	}
	code := i.m.Run()
	if out, err := exec.Command("buildah", "rmi", "--force", name).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "remove the image: %v: %s", err, out)
		return 1
	}
	return code
}

// build makes the image by the script that `make build` runs.
func build(image string) (string, error) {
	cmd := exec.Command("../../tools/image.sh", "build", image)
	cmd.Env = append(os.Environ(), "BUILDER=buildah", "VERSION=v0.0.0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// buildah runs one of its commands and returns what it printed.
func buildah(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("buildah", args...).Output()
	if err != nil {
		t.Fatalf("buildah %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// config is what the image says of itself, as far as it matters here.
type config struct {
	OCIv1 struct {
		Architecture string
		Config       struct {
			User       string
			Env        []string
			Entrypoint []string
			Labels     map[string]string
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
}

func inspect(t *testing.T, image string) (c config) {
	t.Helper()
	if err := json.Unmarshal([]byte(buildah(t, "inspect", "--type", "image", image)), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// mount gives the root file system of a new container of the image.
func mount(t *testing.T, image string) string {
	t.Helper()
	container := buildah(t, "from", image)
	t.Cleanup(func() { buildah(t, "rm", container) })
	root := buildah(t, "mount", container)
	t.Cleanup(func() { buildah(t, "umount", container) })
	return root
}

// run starts the image's entry point with its own environment and these variables, in
// its own root file system, which is read-only but for a tmpfs where the image wants
// one, as its own user and without any capability.
func run(t *testing.T, image string, envs ...map[string]string) *harness.Logger {
	t.Helper()
	root, c := mount(t, image), inspect(t, image).OCIv1.Config
	for _, dir := range []string{"proc", "dev"} { // a container's runtime makes these
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const script = `set -e
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount --bind /proc "$ROOT/proc"
mount -t tmpfs -o mode=755,size=1m tmpfs "$ROOT/dev"
touch "$ROOT/dev/null"
mount --bind /dev/null "$ROOT/dev/null"
mount -t tmpfs -o mode=1777,size=128m tmpfs "$ROOT/run/logger"
mount -t tmpfs -o mode=1777,size=1m tmpfs "$ROOT/tmp"
root=$ROOT user=$RUN_AS
unset ROOT RUN_AS
exec chroot --userspec="$user" --groups= "$root" "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "bash", "-c", script, "image"}, c.Entrypoint...)...)
	cmd.Env = append(append(c.Env, "ROOT="+root, "RUN_AS="+c.User), "LOGGER_LISTEN_ADDR=127.0.0.1:0", "LOGGER_LOG_FORMAT=json")
	for i, variable := range cmd.Env { // the script needs the commands of this system
		if strings.HasPrefix(variable, "PATH=") {
			cmd.Env[i] = "PATH=" + os.Getenv("PATH")
		}
	}
	for _, env := range envs {
		for k, v := range env {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	l := harness.Serve(t, cmd, filepath.Join(root, "run/logger"))
	l.Until("ready", l.Ready)
	return l
}
