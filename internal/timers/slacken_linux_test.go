package timers

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSlacken runs this test program as one that slackens its timers, and as one that
// such a program starts.
func TestSlacken(t *testing.T) {
	t.Parallel()
	wantSlack(t, int(Slack))
}

// TestSlackenedOnce is where the kernel does not keep what it is told: nobody executes the
// program for ever, or tells it twice.
func TestSlackenedOnce(t *testing.T) {
	t.Parallel()
	own, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantSlack(t, own, slackEnv+"=1")
}

// wantSlack starts a program that slackens its timers, which starts another.
func wantSlack(t *testing.T, slack int, env ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestSlackenedProcess$", "-test.v")
	cmd.Env = append(append(os.Environ(), slackRoleEnv+"=parent"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := fmt.Sprintf("parent: all threads %d, marked false\nchild: all threads %d, marked false\n", slack, slack)
	if got := reported(string(out)); got != want {
		t.Errorf("got\n%swant\n%sin\n%s", got, want, out)
	}
}

const slackRoleEnv = "LOGGER_TEST_SLACK_ROLE"

// TestSlackenedProcess is the program of TestSlacken, and by itself the child of none.
func TestSlackenedProcess(t *testing.T) {
	role := os.Getenv(slackRoleEnv)
	if role == "parent" {
		Slacken()
	}
	_, marked := os.LookupEnv(slackEnv)
	slacks := map[int]bool{}
	for range 3 { // on threads of their own, each of which ends
		one := make(chan int)
		go func() {
			runtime.LockOSThread()
			slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
			if err != nil {
				slack = -1
			}
			one <- slack
		}()
		slacks[<-one] = true
	}
	if len(slacks) != 1 || slacks[-1] {
		t.Fatalf("threads have %v", slacks)
	}
	for slack := range slacks {
		fmt.Printf("%s: all threads %d, marked %t\n", role, slack, marked)
	}
	if role != "parent" {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^TestSlackenedProcess$", "-test.v")
	child.Env = append(os.Environ(), slackRoleEnv+"=child")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
}

// reported are the lines that processes told of themselves.
func reported(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if strings.Contains(line, "all threads") {
			b.WriteString(line)
		}
	}
	return b.String()
}
