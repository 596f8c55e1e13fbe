package harness

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Elsewhere starts the plugin, such as storage-memory, without a host: it serves at the address,
// unix:///PATH or tcp://HOST:PORT. Once the plugin listens, Elsewhere returns its process, and the
// value of LOGGER_PLUGIN_REATTACH with which `logger dev` attaches to it. The test's end kills the
// process.
func Elsewhere(t *testing.T, plugin, address string, env ...string) (cmd *exec.Cmd, reattach string) {
	t.Helper()
	return ServeElsewhere(t, Binary("plugins/logger-"+plugin), address, env...)
}

// ServeElsewhere does what [Elsewhere] does, for the executable at the path.
func ServeElsewhere(t *testing.T, path, address string, env ...string) (cmd *exec.Cmd, reattach string) {
	t.Helper()
	cmd = exec.Command(path) //nolint:noctx // its end is the test's to see
	cmd.Env = append(slices.Clone(env), "LOGGER_PLUGIN_LISTEN="+address, "PATH="+os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines, printed := bufio.NewReader(stderr), ""
	for {
		line, err := lines.ReadString('\n')
		if value, ok := strings.CutPrefix(line, "LOGGER_PLUGIN_REATTACH='"); ok {
			go func() { _, _ = io.Copy(io.Discard, lines) }() // ends with the process
			return cmd, strings.TrimSuffix(value, "'\n")
		}
		if printed += line; err != nil {
			t.Fatalf("%s does not listen at %s: %s", path, address, printed)
		}
	}
}
