package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
)

// startSyslog starts a host whose syslog aggregator listens at the address, on UDP and TCP.
func startSyslog(t *testing.T, addr string) *harness.Logger {
	t.Helper()
	dir := pluginDir(t)
	harness.BuildExample(t, "aggregator-syslog", dir)
	l := harness.Start(t, harness.MemoryEnv(), map[string]string{
		"AGGREGATOR_TYPE": "syslog", "SYSLOG_LISTEN": "udp://" + addr + ",tcp://" + addr,
		"LOGGER_PLUGIN_PATH": dir + ":" + harness.Binary("plugins"),
	})
	untilListens(t, l, addr)
	return l
}

// untilListens waits until the aggregator listens: the host is ready as soon as the process runs.
func untilListens(t *testing.T, l *harness.Logger, addr string) {
	t.Helper()
	l.Until("the aggregator listens", func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// TestSyslogPluginWithLogger: lines that the system's logger(1) sends are kept, in both formats,
// over both protocols, and in both framings.
func TestSyslogPluginWithLogger(t *testing.T) {
	addr := harness.FreeAddr(t)
	l := startSyslog(t, addr)
	host, port, _ := strings.Cut(addr, ":")
	for app, args := range map[string][]string{
		"udp-3164":   {"--udp", "--rfc3164"},
		"udp-5424":   {"--udp", "--rfc5424"},
		"tcp-3164":   {"--tcp", "--rfc3164"},
		"tcp-5424":   {"--tcp", "--rfc5424"},
		"tcp-length": {"--tcp", "--rfc5424", "--octet-count"},
	} {
		args = append(args, "--server", host, "--port", port, "--tag", app, "--id=7", "hello, "+app)
		if out, err := exec.CommandContext(t.Context(), "/usr/bin/logger", args...).CombinedOutput(); err != nil {
			t.Fatalf("logger %q: %v\n%s", args, err, out)
		}
		want := " " + app + "[7.]: hello, " + app + "\n"
		l.Until(want, func() bool {
			lines := l.Lines(app)
			return strings.HasSuffix(lines, want) && strings.Count(lines, "\n") == 1
		})
	}
	l.Stop()
}

// TestSyslogPluginKilled: if the aggregator closed a TCP connection in order, all lines of that
// connection are kept. The aggregator is killed again and again while a sender sends.
func TestSyslogPluginKilled(t *testing.T) {
	addr := harness.FreeAddr(t)
	l := startSyslog(t, addr)
	killed, resets, acknowledged := 0, 0, []string{}
	for n := 0; killed < 5 || len(acknowledged) < 100; {
		var data bytes.Buffer
		var lines []string
		for range 10 {
			n++
			text := fmt.Sprintf("line %d", n)
			fmt.Fprintf(&data, "<14>1 - - app-1 - - - %s\n", text)
			lines = append(lines, text)
		}
		if n%40 == 0 { // so that the kill comes while the sender sends
			if pid := l.Plugin("aggregator").PID; pid > 0 {
				time.AfterFunc(time.Duration(n%7)*100*time.Microsecond, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
				killed++
			}
		}
		err := sendTCP(addr, data.Bytes())
		if err != nil {
			resets++
			untilListens(t, l, addr)
			continue
		}
		acknowledged = append(acknowledged, lines...)
	}
	t.Logf("%d kills, %d resets, %d lines acknowledged", killed, resets, len(acknowledged))
	if resets == 0 {
		t.Error("no kill came in the middle")
	}
	untilListens(t, l, addr)
	stored := map[string]bool{}
	for line := range strings.Lines(l.Lines("app-1")) {
		_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		stored[text] = true
	}
	for _, line := range acknowledged {
		if !stored[line] {
			t.Errorf("%q was acknowledged, and is not there", line)
		}
	}
	l.Stop()
}

// sendTCP sends data and closes its side. It returns nil if the other side then closes in order.
func sendTCP(addr string, data []byte) error {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write(data); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}
