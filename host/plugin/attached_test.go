package plugin

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// elsewhere runs the plugin without a host. It returns the process, and what the process prints for
// a host to attach to it.
func elsewhere(t *testing.T, exe Executable, env ...string) (cmd *exec.Cmd, reattach string) {
	t.Helper()
	cmd = exec.Command(exe.Path)
	cmd.Env = append(os.Environ(), env...)
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
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), ReattachEnv+"='"); ok {
			return cmd, strings.TrimSuffix(text, "'")
		}
	}
	t.Fatalf("it ended before it served: %v", cmd.Wait())
	return nil, ""
}

// socketOf returns a path that is short enough for a socket.
func socketOf(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// attach supervises a plugin at the address.
func attach(t *testing.T, a *Attachment, env map[string]string) (*Supervisor, <-chan error) {
	t.Helper()
	opts := testOptions(t, Executable{Kind: sdk.StorageKind, Name: "toy"}, env)
	opts.Attachment, opts.StateDir = a, ""
	opts.BackoffMax = 200 * time.Millisecond
	return supervise(t, opts)
}

// TestAttached: two hosts use a plugin that neither has started. When the plugin is killed and
// restarted, both connect again. A host that ends leaves the plugin running.
func TestAttached(t *testing.T) {
	exe, socket := install(t, sdk.StorageKind, "toy", "toy"), socketOf(t)
	listen := "LOGGER_PLUGIN_LISTEN=unix://" + socket
	cmd, _ := elsewhere(t, exe, listen)
	at, err := NewAttachment("LOGGER_STORAGE_ADDR", "unix://"+socket, TLSFiles{})
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"TEST_WORD": "bonjour", "TEST_TOKEN": "hunter2"}
	first, _ := attach(t, at, env)
	second, _ := attach(t, at, env)
	for _, s := range []*Supervisor{first, second} {
		if inst := wait(t, s); inst.PID != 0 || ask(t, s, "settings") != "{Word:bonjour Count:1 Token:hunter2}" {
			t.Errorf("pid %d, settings %s", inst.PID, ask(t, s, "settings"))
		}
	}
	_, ended := attach(t, at, map[string]string{"TEST_WORD": "adieu"})
	if err := <-ended; !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), "other values of TEST_WORD, TEST_TOKEN:") ||
		strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a host with other settings: %v", err)
	}
	other := testOptions(t, Executable{Kind: sdk.StorageKind, Name: "redis"}, env)
	other.Attachment = at
	stranger, _ := supervise(t, other)
	const want = `storage plugin "toy", not storage plugin "redis"`
	testwait.Within(t, 20*time.Second, "the plugin of another name is refused", func() bool { return strings.Contains(stranger.Status().Reason, want) })

	before := wait(t, first)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	<-before.Gone()
	testwait.Within(t, 20*time.Second, "down", func() bool {
		_, err := first.Current()
		return errors.As(err, new(*DownError)) && strings.Contains(first.Status().Reason, "unix://"+socket)
	})
	again, _ := elsewhere(t, exe, listen)
	for _, s := range []*Supervisor{first, second} {
		testwait.Within(t, 20*time.Second, "up again", func() bool {
			err := NewStorage(s).Append(t.Context(), toyBatch("fine"))
			return err == nil && s.Status().Restarts > 0
		})
	}
	stopped, _ := attach(t, at, env)
	wait(t, stopped)
	if !lives(again.Process.Pid) {
		t.Error("the plugin ended")
	}
}

// TestAttachedEndsNothing: a host that stops leaves the plugin running.
func TestAttachedEndsNothing(t *testing.T) {
	socket := socketOf(t)
	cmd, _ := elsewhere(t, install(t, sdk.StorageKind, "toy", "toy"), "LOGGER_PLUGIN_LISTEN=unix://"+socket)
	at := &Attachment{Target: "unix://" + socket, Protocol: 1}
	t.Run("host", func(t *testing.T) {
		s, _ := attach(t, at, nil)
		wait(t, s)
	})
	s, _ := attach(t, at, nil)
	wait(t, s)
	if ask(t, s, "settings") == "" || !lives(cmd.Process.Pid) {
		t.Error("the plugin ended with a host")
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}
}

// TestReattached: a plugin that stands at a breakpoint keeps its connection. A plugin that is only
// elsewhere loses it.
func TestReattached(t *testing.T) {
	for _, debug := range []bool{true, false} {
		t.Run(map[bool]string{true: "debugged", false: "elsewhere"}[debug], func(t *testing.T) {
			t.Parallel()
			socket := socketOf(t)
			cmd, text := elsewhere(t, install(t, sdk.StorageKind, "toy", "toy"), "LOGGER_PLUGIN_LISTEN=unix://"+socket)
			all, err := Reattachments(text, "storage-toy", "aggregator-nsq")
			if err != nil {
				t.Fatal(err)
			}
			at := all["storage-toy"]
			at.Debug = debug
			s, _ := attach(t, at, nil)
			inst := wait(t, s)
			if inst.PID != cmd.Process.Pid {
				t.Errorf("pid %d, want %d", inst.PID, cmd.Process.Pid)
			}
			_ = cmd.Process.Signal(syscall.SIGSTOP)
			if debug {
				testwait.Within(t, 20*time.Second, "degraded", func() bool { return strings.Contains(s.Status().Reason, "breakpoint") })
				time.Sleep(3 * s.opts.CheckTimeout) // more misses than end any other plugin
			} else {
				testwait.Within(t, 20*time.Second, "down", func() bool { _, err := s.Current(); return err != nil })
			}
			_ = cmd.Process.Signal(syscall.SIGCONT)
			testwait.Within(t, 20*time.Second, "ready", func() bool { return s.Status().State == Ready })
			if now := wait(t, s); (now == inst) != debug {
				t.Errorf("the same connection: %t", now == inst)
			}
		})
	}
}

// TestAttachedByTLS: a host connects to a plugin of the same authority. A host that trusts another
// authority says so.
func TestAttachedByTLS(t *testing.T) {
	ours, foreign := certificates(t), certificates(t)
	_, text := elsewhere(t, install(t, sdk.StorageKind, "toy", "toy"), "LOGGER_PLUGIN_LISTEN=tcp://127.0.0.1:0",
		"LOGGER_PLUGIN_TLS_CERT_FILE="+ours.Cert, "LOGGER_PLUGIN_TLS_KEY_FILE="+ours.Key, "LOGGER_PLUGIN_TLS_CA_FILE="+ours.CA)
	all, err := Reattachments(text, "storage-toy")
	if err != nil {
		t.Fatal(err)
	}
	target := all["storage-toy"].Target
	for name, tc := range map[string]struct {
		files TLSFiles
		want  string // the reason; "" if the plugin is up
	}{
		"ours":         {ours, ""},
		"wrong CA":     {TLSFiles{Cert: ours.Cert, Key: ours.Key, CA: foreign.CA}, "want a certificate of the plugin that is for this host and of an authority in LOGGER_STORAGE_TLS_CA_FILE="},
		"wrong client": {TLSFiles{Cert: foreign.Cert, Key: foreign.Key, CA: ours.CA}, ": it may refuse LOGGER_STORAGE_TLS_CERT_FILE="},
		"plain":        {TLSFiles{}, ": it may want mutual TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			at, err := NewAttachment("LOGGER_STORAGE_ADDR", target, tc.files)
			if err != nil {
				t.Fatal(err)
			}
			s, _ := attach(t, at, nil)
			if tc.want == "" {
				wait(t, s)
				return
			}
			testwait.Within(t, 20*time.Second, "refused", func() bool {
				status := s.Status()
				return status.State == BackingOff && strings.Contains(status.Reason, tc.want)
			})
		})
	}
	missing, _ := NewAttachment("LOGGER_STORAGE_ADDR", target, TLSFiles{Cert: "/none", Key: ours.Key, CA: ours.CA})
	_, ended := attach(t, missing, nil)
	if err := <-ended; !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), `LOGGER_STORAGE_TLS_CERT_FILE="/none"`) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestNewAttachment(t *testing.T) {
	files := TLSFiles{Cert: "c", Key: "k", CA: "a"}
	for _, tc := range []struct {
		address, want string // want is "" if the address is accepted
		files         TLSFiles
	}{
		{"", "", TLSFiles{}},
		{"unix:///run/s", "", TLSFiles{}},
		{"dns:///127.0.0.1:1", "", TLSFiles{}},
		{"dns:///[::1]:1", "", TLSFiles{}},
		{"dns:///localhost:1", "", TLSFiles{}},
		{"dns:///storage.example:1", "", files},
		{"dns:///storage.example:1", "plain text: want mutual TLS (LOGGER_STORAGE_TLS_CERT_FILE, ", TLSFiles{}},
		{"dns:///storage.example", "want dns:///HOST:PORT or unix:///PATH", files},
		{"dns:///localhost:http", "want dns:///HOST:PORT or unix:///PATH", files},
		{"dns:///localhost:65536", "want dns:///HOST:PORT or unix:///PATH", files},
		{"dns:///localhost:0", "want dns:///HOST:PORT or unix:///PATH", files},
		{"storage.example:1", "want dns:///HOST:PORT", files},
		{"unix://s", "want dns:///HOST:PORT or unix:///PATH", TLSFiles{}},
		{"dns:///localhost:1", "LOGGER_STORAGE_TLS_KEY_FILE is not set", TLSFiles{Cert: "c", CA: "a"}},
		{"", "want LOGGER_STORAGE_ADDR too", files},
	} {
		_, err := NewAttachment("LOGGER_STORAGE_ADDR", tc.address, tc.files)
		if (err == nil) != (tc.want == "") || err != nil && (!errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%q, %+v: %v, want %q", tc.address, tc.files, err, tc.want)
		}
	}
}

func TestReattachments(t *testing.T) {
	const good = `{"storage-toy":{"Protocol":"grpc","ProtocolVersion":1,"Pid":7,"Test":true,"Addr":{"Network":"unix","String":"/s"}}}`
	all, err := Reattachments(good, "storage-toy")
	if err != nil || *all["storage-toy"] != (Attachment{Target: "unix:///s", Debug: true, PID: 7, Protocol: 1}) {
		t.Errorf("got %+v, %v", all, err)
	}
	for replaced, want := range map[[2]string]string{
		{"storage-toy", "storage-other"}:                         `names "storage-other": this logger uses storage-toy`,
		{`"grpc"`, `"netrpc"`}:                                   "want grpc",
		{`Version":1`, `Version":9`}:                             "ProtocolVersion 9 of storage-toy: want 1",
		{`"unix"`, `"tcp"`}:                                      "want a unix socket's path",
		{`"unix","String":"/s"`, `"tcp","String":"10.0.0.1:80"`}: "a loopback address",
		{good, "yes"}:                                            "want the JSON that a plugin",
	} {
		_, err := Reattachments(strings.Replace(good, replaced[0], replaced[1], 1), "storage-toy")
		if !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", replaced[1], err, want)
		}
	}
}

// TestReload: a plugin whose file has changed is restarted, which does not count as a failure.
// While the file is being written, nothing happens.
func TestReload(t *testing.T) {
	exe, next := install(t, sdk.StorageKind, "toy", "toy"), install(t, sdk.StorageKind, "toy", "sick")
	opts := testOptions(t, exe, nil)
	opts.Reload = true
	s, _ := supervise(t, opts)
	inst := wait(t, s)
	text, err := os.ReadFile(next.Path)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := os.Remove(exe.Path); err != nil { // as a compiler does
		t.Fatal(err)
	}
	if err := os.WriteFile(exe.Path, []byte("#!/bin/sh\nexit 9\n"), 0o600); err != nil { // not executable yet
		t.Fatal(err)
	}
	for time.Since(began) < 3*reloadPause {
		if now, err := s.Current(); now != inst {
			t.Fatalf("ended for a file that is no program yet: %v", err)
		}
		time.Sleep(reloadPause / 10)
	}
	if err := os.WriteFile(exe.Path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(exe.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	testwait.Within(t, 20*time.Second, "the new one", func() bool { return strings.Contains(s.Status().Reason, "backend at nowhere") })
	t.Logf("replaced after %s", time.Since(began))
	if status := s.Status(); status.Restarts != 0 || lives(inst.PID) {
		t.Errorf("%+v; the old one lives: %t", status, lives(inst.PID))
	}
}

// TestReloadWakes: if the file of a plugin that waits for its next attempt changes, the plugin is
// started at once.
func TestReloadWakes(t *testing.T) {
	exe, next := install(t, sdk.StorageKind, "toy", "exits"), install(t, sdk.StorageKind, "toy", "toy")
	opts := testOptions(t, exe, nil)
	opts.Reload, opts.BackoffMin, opts.BackoffMax = true, time.Hour, time.Hour
	s, _ := supervise(t, opts)
	testwait.Within(t, 20*time.Second, "backing off", func() bool { return s.Status().State == BackingOff })
	if err := os.Rename(next.Path, exe.Path); err != nil {
		t.Fatal(err)
	}
	wait(t, s)
}

// certificates makes an authority and a certificate signed by it, which serves 127.0.0.1 as client
// and as server.
func certificates(t *testing.T) TLSFiles {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "both"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := TLSFiles{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "cert.pem")}
	for path, block := range map[string]*pem.Block{f.Cert: {Type: "CERTIFICATE", Bytes: der}, f.Key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}
