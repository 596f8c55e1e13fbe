package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
)

// TestUpgrade: the last release's plugins run with this host, these plugins run with its host, and
// this build goes on with what the last release left in Redis. In each case a tail that began at
// the last release resumes.
func TestUpgrade(t *testing.T) {
	last := lastRelease(t)
	theirs, ours := filepath.Join(last, "plugins"), harness.Binary("plugins")
	for name, env := range harness.Storages {
		for pair, programs := range map[string]struct{ host, plugins string }{
			"their plugins, our host": {harness.Binary("logger"), theirs},
			"our plugins, their host": {filepath.Join(last, "logger"), ours},
		} {
			t.Run(name+": "+pair, func(t *testing.T) {
				queue := harness.NewQueue(t)
				l := startProgram(t, programs.host, programs.plugins, harness.NSQEnv(queue.TCPAddr()), env(t))
				numbers(queue, 2, 1, 200)
				l.Settled(400)
				all := []*tailer{newTailer(l.URL, "app-0", "ndjson", transport()), newTailer(l.URL, "app-0", "sse", transport())}
				tails(t, all)
				numbers(queue, 1, 201, 300)
				settle(t, l, all, 300)
				if got, want := l.Lines("app-0"), upTo(300); got != want {
					t.Error(difference(got, want))
				}
			})
		}
	}
	t.Run("data in Redis", func(t *testing.T) {
		queue := harness.NewQueue(t)
		envs := []map[string]string{harness.NSQEnv(queue.TCPAddr()), harness.RedisEnv(redistest.Start(t).Addr)}
		before := startProgram(t, filepath.Join(last, "logger"), theirs, envs...)
		all := []*tailer{newTailer(before.URL, "app-0", "ndjson", transport()), newTailer(before.URL, "app-0", "sse", transport())}
		stop := tails(t, all)
		numbers(queue, 1, 1, 300)
		settle(t, before, all, 300)
		before.Signal(syscall.SIGTERM)
		before.Ended(0)
		stop()

		after := startProgram(t, harness.Binary("logger"), ours, envs...)
		if got, want := after.Lines("app-0"), upTo(300); got != want {
			t.Errorf("after the upgrade: %s", difference(got, want))
		}
		for _, c := range all {
			c.base = after.URL
		}
		tails(t, all)
		numbers(queue, 1, 301, 400)
		settle(t, after, all, 400)
		if got, want := after.Lines("app-0"), upTo(400); got != want {
			t.Errorf("with new lines: %s", difference(got, want))
		}
	})
}

// lastRelease builds the programs of the newest release before this commit, and returns their
// folder.
//
// If there is no release yet, it builds this commit. Then the test shows what uncommitted changes
// break, and nothing about releases.
func lastRelease(t *testing.T) string {
	t.Helper()
	ref := "HEAD"
	tag, err := exec.CommandContext(t.Context(), "git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^").Output()
	if err == nil {
		ref = strings.TrimSpace(string(tag))
	}
	t.Logf("the last release is %s", ref)
	source, programs := t.TempDir(), t.TempDir()
	for _, step := range []struct {
		dir  string
		args []string
	}{
		{"..", []string{"git", "archive", "--output", filepath.Join(source, "source.tar"), ref}},
		{source, []string{"tar", "-xf", "source.tar"}},
		{source, []string{"go", "build", "-trimpath", "-buildvcs=false", "-o", programs + "/", "./cmd/logger"}},
		{source, []string{
			"go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(programs, "plugins") + "/",
			"./cmd/logger-storage-memory", "./cmd/logger-storage-redis", "./cmd/logger-aggregator-nsq",
		}},
	} {
		cmd := exec.CommandContext(t.Context(), step.args[0], step.args[1:]...)
		cmd.Dir, cmd.Env = step.dir, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", step.args, err, out)
		}
	}
	return programs
}

// startProgram starts the host with the plugins of the folder, and waits until it is ready.
func startProgram(t *testing.T, host, plugins string, envs ...map[string]string) *harness.Logger {
	t.Helper()
	cmd, runDir := harness.Command(t, nil, append(envs, map[string]string{"LOGGER_PLUGIN_PATH": plugins})...)
	cmd.Path = host
	l := harness.Serve(t, cmd, runDir)
	l.Until("ready", l.Ready)
	return l
}

// upTo returns the lines of app-0 from number 1 to last.
func upTo(last int) string {
	var lines strings.Builder
	for n := range last {
		lines.WriteString(harness.NumberedLine(n+1, 0))
	}
	return lines.String()
}
