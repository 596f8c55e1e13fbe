package e2e

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

// TestHelp: each way to ask the program for help works, and needs no environment.
func TestHelp(t *testing.T) {
	ask := func(args ...string) (code int, stdout, stderr string) {
		var out, said bytes.Buffer
		cmd := exec.CommandContext(t.Context(), harness.Binary("logger"), args...)
		cmd.Stdout, cmd.Stderr = &out, &said
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), out.String(), said.String()
	}
	_, all, _ := ask("help")
	for _, command := range []string{
		"serve", "dev", "plugins", "plugins check", "tail", "apps", "delete", "completion", "doctor", "version", "help",
	} {
		words := strings.Fields(command)
		if !strings.Contains(all, "\n  "+words[0]+" ") {
			t.Errorf("logger help does not name %s", command)
		}
		_, text, _ := ask(append([]string{"help"}, words...)...)
		if !strings.Contains(text, "usage: logger "+command) && !strings.Contains(text, "usage: logger ["+command+"]") {
			t.Errorf("help of %s: %q", command, text)
		}
		for _, flag := range []string{"-h", "--help"} {
			if code, out, stderr := ask(append(words[:len(words):len(words)], flag)...); code != 0 || out != text || stderr != "" {
				t.Errorf("%s %s: %d, %q, %q, want what help says", command, flag, code, out, stderr)
			}
		}
	}
	for _, args := range [][]string{{"help", "nope"}, {"version", "x"}, {"plugins", "check"}, {"dev", "x"}} {
		if code, out, stderr := ask(args...); code != 2 || out != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: %d, %q, %q, want exit code 2 and one line", args, code, out, stderr)
		}
	}
}
