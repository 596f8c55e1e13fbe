package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// nohupEnv names the signal that the test binary, run as a child, sends to a child of its own.
const nohupEnv = "HARNESS_TEST_SIGNAL"

func TestMain(m *testing.M) {
	if sig := os.Getenv(nohupEnv); sig != "" {
		DefaultSignals()
		fmt.Print(endOf(exec.Command("sh", "-c", "kill -"+sig+" $$; echo goes on")))
		return
	}
	goleak.VerifyTestMain(m)
}

// endOf runs a command and says how it ended.
func endOf(cmd *exec.Cmd) string {
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return "killed by " + status.Signal().String()
		}
	}
	return fmt.Sprintf("%q, %v", out, err)
}

// TestDefaultSignals: if a test binary starts with both signals ignored, as under nohup or in the
// background, they end its children but not itself.
func TestDefaultSignals(t *testing.T) {
	for sig, want := range map[string]string{"HUP": "killed by hangup", "INT": "killed by interrupt"} {
		t.Run(sig, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "sh", "-c", `trap "" HUP INT; exec "$0"`, os.Args[0])
			cmd.Env = append(os.Environ(), nohupEnv+"="+sig)
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
				t.Errorf("the child: %s, %v, want %s", out, err, want)
			}
		})
	}
}
