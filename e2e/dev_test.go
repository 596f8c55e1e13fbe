package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/testrun"
)

// TestDev runs `logger dev`, pastes the commands that it prints into a shell, and
// stops it as Ctrl-C does.
func TestDev(t *testing.T) {
	cmd, runDir := harness.Command(t, []string{"dev"}, map[string]string{
		"LOGGER_DEV_NSQD_TCP_ADDR": "127.0.0.1:0", "LOGGER_DEV_NSQD_HTTP_ADDR": "127.0.0.1:0",
	})
	stdout, stderr := &testrun.Output{}, &testrun.Output{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := harness.Attach(t, cmd, runDir)
	l.Until("both plugins are up", func() bool { return strings.Count(stderr.String(), "plugin is up") == 2 })
	if out := paste(t, stdout.String(), "publish a line"); out != "OK" {
		t.Errorf("publish: %q", out)
	}
	const want = "2026-01-02T15:04:05+00:00 hello[web.v1.abcde]: hello, world\n"
	l.Until("the line is there", func() bool { return paste(t, stdout.String(), "read its lines") == want })
	if n := len(l.Plugins()); n != 3 {
		t.Errorf("%d processes, want the queue and two plugins", n)
	}
	began := time.Now()
	l.Signal(syscall.SIGINT)
	l.Ended(0)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Ctrl-C took %s", took)
	}
}

// TestDevAndItsQueue: if `logger dev` or its nsqd is killed, the other one ends too.
func TestDevAndItsQueue(t *testing.T) {
	for _, victim := range []string{"logger", "logger-nsqd"} {
		t.Run(victim, func(t *testing.T) {
			cmd, runDir := harness.Command(t, []string{"dev"}, map[string]string{
				"LOGGER_DEV_NSQD_TCP_ADDR": "127.0.0.1:0", "LOGGER_DEV_NSQD_HTTP_ADDR": "127.0.0.1:0",
			})
			stderr := &testrun.Output{}
			cmd.Stdout, cmd.Stderr = io.Discard, stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			l := harness.Attach(t, cmd, runDir)
			l.Until("both plugins are up", func() bool { return strings.Count(stderr.String(), "plugin is up") == 2 })
			queue := 0
			for _, pid := range l.Plugins() {
				if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && string(name) == "logger-nsqd\n" {
					queue = pid
				}
			}
			if queue == 0 {
				t.Fatal("no process of the queue")
			}
			if victim == "logger" {
				l.Kill() // waits for the end of the child processes
				return
			}
			if err := syscall.Kill(queue, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			l.Ended(1)
		})
	}
}

// paste runs the command that stands on the line below a heading of what dev printed.
func paste(t *testing.T, printed, heading string) string {
	t.Helper()
	_, rest, _ := strings.Cut(printed, heading)
	_, rest, _ = strings.Cut(rest, "\n")
	command, _, _ := strings.Cut(rest, "\n")
	out, err := exec.Command("sh", "-c", strings.TrimSpace(command)).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

func TestDevSaysWhichAddressIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	cmd, _ := harness.Command(t, []string{"dev"}, map[string]string{
		"LOGGER_DEV_NSQD_TCP_ADDR": taken.Addr().String(), "LOGGER_DEV_NSQD_HTTP_ADDR": "127.0.0.1:0",
	})
	cmd.Stdout = io.Discard
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	if err == nil || !strings.Contains(stderr.String(), "LOGGER_DEV_NSQD_TCP_ADDR") || !strings.Contains(stderr.String(), "address already in use") {
		t.Errorf("%v: %s", err, stderr.String())
	}
}
