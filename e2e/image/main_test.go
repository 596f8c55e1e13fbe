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

// name is the name of the image, which is built once for all tests.
var name = fmt.Sprintf("localhost/logger-test-%d:v0.0.0", os.Getpid())

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(imageTests{m})
}

// imageTests builds the image before the tests and removes it after them.
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

// build builds an image by the script that `make build` runs, with these variables.
func build(image string, env ...string) (string, error) {
	cmd := exec.Command("../../tools/image.sh", "build", image)
	cmd.Env = append(append(os.Environ(), "BUILDER=buildah", "VERSION=v0.0.0"), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// buildah runs buildah with these arguments and returns what it printed.
func buildah(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("buildah", args...).Output()
	if err != nil {
		t.Fatalf("buildah %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// config holds those parts of an image's configuration that the tests read.
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

// mount creates a container of the image and returns the path of its root file system. The args are
// further arguments of `buildah from`, such as a platform.
func mount(t *testing.T, image string, args ...string) string {
	t.Helper()
	container := buildah(t, append([]string{"from", "--pull-never"}, append(args, image)...)...)
	t.Cleanup(func() { buildah(t, "rm", container) })
	root := buildah(t, "mount", container)
	t.Cleanup(func() { buildah(t, "umount", container) })
	return root
}

// bind maps a file or folder of this machine to a path in a container.
type bind struct{ from, to string }

// run starts the image's entry point with the image's environment and these variables.
func run(t *testing.T, image string, envs ...map[string]string) *harness.Logger {
	t.Helper()
	return runWith(t, image, nil, envs...)
}

// runWith does what [run] does, with read-only mounts.
func runWith(t *testing.T, image string, binds []bind, envs ...map[string]string) *harness.Logger {
	t.Helper()
	root, c := mount(t, image), inspect(t, image).OCIv1.Config
	cmd := contained(t, root, c.User, "ro", binds, c.Entrypoint...)
	cmd.Env = append(append(cmd.Env, c.Env...), "LOGGER_LISTEN_ADDR=127.0.0.1:0", "LOGGER_LOG_FORMAT=json")
	for _, env := range envs {
		for k, v := range env {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH")) // the script runs commands of this system
	l := harness.Serve(t, cmd, filepath.Join(root, "run/logger"))
	l.Until("ready", l.Ready)
	return l
}

// contained returns a command that runs in a root file system as a user without capabilities. The
// root is read-only, except for a tmpfs where our image expects one. The mode, ro or rw, is that of
// the mounts.
func contained(t *testing.T, root, user, mode string, binds []bind, command ...string) *exec.Cmd {
	t.Helper()
	for _, dir := range []string{"proc", "dev", "run/logger", "tmp"} { // the container runtime makes these
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var mounts strings.Builder
	for _, b := range binds { // and these
		info, err := os.Stat(b.from)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(root, b.to)
		dir := to
		if !info.IsDir() {
			dir = filepath.Dir(to)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if !info.IsDir() {
			if err := os.WriteFile(to, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&mounts, "%s:%s\n", b.from, to)
	}
	const script = `set -e
umask 022
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
printf %s "$BINDS" | while IFS=: read -r from to; do
	mount --bind "$from" "$to"
	mount -o "remount,bind,$MODE" "$to"
done
mount --bind /proc "$ROOT/proc"
mount -t tmpfs -o mode=755,size=1m tmpfs "$ROOT/dev"
touch "$ROOT/dev/null"
mount --bind /dev/null "$ROOT/dev/null"
mount -t tmpfs -o mode=1777,size=128m tmpfs "$ROOT/run/logger"
mount -t tmpfs -o mode=1777,size=1m tmpfs "$ROOT/tmp"
root=$ROOT user=$RUN_AS
unset ROOT RUN_AS BINDS MODE
exec chroot --userspec="$user" --groups= "$root" "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "bash", "-c", script, "image"}, command...)...)
	cmd.Env = []string{"ROOT=" + root, "RUN_AS=" + user, "BINDS=" + mounts.String(), "MODE=" + mode}
	return cmd
}
