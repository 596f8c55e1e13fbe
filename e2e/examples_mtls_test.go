package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
)

// hostCertificate makes a certificate, as a host does for each start of a plugin.
func hostCertificate(t *testing.T) (cert tls.Certificate, asPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// refusesStrangers starts the plugin as a host does, and checks that the plugin accepts only the
// certificate of that host.
func refusesStrangers(t *testing.T, path string) {
	own, asPEM := hostCertificate(t)
	other, _ := hostCertificate(t)
	cmd := exec.Command(path)
	cmd.Env = append(cmd.Environ(), "LOGGER_PLUGIN=deis-logger-plugin", "PLUGIN_PROTOCOL_VERSIONS=1",
		"PLUGIN_UNIX_SOCKET_DIR="+harness.RunDir(t), "PLUGIN_CLIENT_CERT="+asPEM)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	fields := strings.Split(strings.TrimSpace(line), "|")
	if err != nil || len(fields) != 6 {
		t.Fatalf("handshake %q: %v", line, err)
	}
	der, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil {
		t.Fatal(err)
	}
	server, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server)
	for name, tc := range map[string]struct {
		certs   []tls.Certificate
		welcome bool
	}{"the host": {[]tls.Certificate{own}, true}, "nobody": {nil, false}, "another": {[]tls.Certificate{other}, false}} {
		conn, err := (&tls.Dialer{Config: &tls.Config{
			Certificates: tc.certs, RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
		}}).DialContext(t.Context(), "unix", fields[3])
		if err == nil { // in TLS 1.3 a client learns of a refusal only when it reads
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err = conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err == nil {
				_, err = conn.Read(make([]byte, 9)) // the server's SETTINGS
			}
			_ = conn.Close()
		}
		if (err == nil) != tc.welcome {
			t.Errorf("%s connects: %v", name, err)
		}
	}
}
