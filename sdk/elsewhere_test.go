package sdk

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk/pluginpb"
)

type elsewhereSettings struct {
	Word  string `env:"TEST_WORD" doc:"a word"`
	Token string `env:"TEST_TOKEN" secret:"true" doc:"a secret"`
}

// closing counts what happens to an opened storage.
type closing struct {
	scriptedStorage
	closed *atomic.Int32
}

func (c closing) Close() error { c.closed.Add(1); return nil }

// elsewhere serves a plugin that no host started.
type elsewhere struct {
	served  *served
	closed  atomic.Int32
	opened  Host
	printed testrun.Output
}

// once runs once.
type once struct {
	ran     atomic.Bool
	started chan<- struct{}
}

func (o *once) Run(ctx context.Context, _ Deliver) error {
	if o.ran.Swap(true) {
		return fmt.Errorf("a second run: %w", ErrInvalid)
	}
	o.started <- struct{}{}
	<-ctx.Done()
	return nil
}

// TestListenAggregator: a listening aggregator runs for one host at a time, and each run has its
// own implementation.
func TestListenAggregator(t *testing.T) {
	started := make(chan struct{}, 2)
	open := func(context.Context, elsewhereSettings, Host) (Aggregator, error) {
		return &once{started: started}, nil
	}
	p, err := newServed(AggregatorKind, Info{Name: "toy"}, hclog.NewNullLogger(), open,
		func(s *grpc.Server, impl *implementation[Aggregator]) {
			pluginpb.RegisterAggregatorServiceServer(s, &aggregatorServer{impl: impl})
		})
	if err != nil {
		t.Fatal(err)
	}
	p.share("")
	conn, _ := plainConn(t, p.register, p.options()...)
	run := func(ctx context.Context) error {
		if _, err := NewPluginClient(conn).Configure(ctx, Configuration{}); err != nil {
			return err
		}
		return NewRemoteAggregator(conn, time.Second).Run(ctx, nil)
	}
	for range 2 {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx) }()
		select {
		case <-started:
		case err := <-ended:
			t.Fatalf("run: %v", err)
		}
		if err := run(t.Context()); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "another logger") {
			t.Errorf("a second host's run: %v", err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func newElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	e := &elsewhere{}
	open := func(_ context.Context, _ elsewhereSettings, h Host) (Storage, error) {
		e.opened = h
		return closing{closed: &e.closed}, nil
	}
	var err error
	e.served, err = newServed(StorageKind, Info{Name: "toy", Inspectable: true}, hclog.NewNullLogger(), open,
		func(s *grpc.Server, impl *implementation[Storage]) { registerStorage(s, impl) })
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// listen serves the plugin with the environment. It returns the plugin's address, and a function
// that ends it.
func (e *elsewhere) listen(t *testing.T, env map[string]string) (network, address string, end func() error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- e.served.listen(ctx, env[listenEnv], func(name string) string { return env[name] }, &e.printed)
	}()
	end = sync.OnceValue(func() error { stop(); return <-ended })
	t.Cleanup(func() { _ = end() })
	const before, after = "LOGGER_PLUGIN_REATTACH='", "'\n"
	testwait.Within(t, 10*time.Second, "an address", func() bool { return strings.HasSuffix(e.printed.String(), after) },
		e.printed.String, func() string { return fmt.Sprint(end()) })
	text := strings.TrimSuffix(strings.TrimPrefix(e.printed.String(), before), after)
	var got map[string]struct {
		Protocol             string
		ProtocolVersion, Pid int
		Test                 bool
		Addr                 struct{ Network, String string }
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	at := got["storage-toy"]
	if at.Protocol != "grpc" || at.ProtocolVersion != ProtocolVersion || at.Pid != os.Getpid() || !at.Test {
		t.Errorf("it prints %s", text)
	}
	return at.Addr.Network, at.Addr.String, end
}

func dialElsewhere(t *testing.T, target string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(target, append(DialOptions(), grpc.WithTransportCredentials(creds))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestByHandSaysHow(t *testing.T) {
	var out strings.Builder
	code := newElsewhere(t).served.byHand(func(string) string { return "" }, &out)
	for _, want := range []string{`storage plugin "toy" of logger`, "logger plugins check " + os.Args[0], "LOGGER_PLUGIN_LISTEN=unix://"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
}

// TestListen: a listening plugin serves several hosts. No host can close its storage or have it
// opened in another way; the storage is closed when the plugin itself ends.
func TestListen(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // a killed process leaves its socket behind
	_ = dead.Close()
	e := newElsewhere(t)
	network, at, end := e.listen(t, map[string]string{listenEnv: "unix://" + socket, stateDirEnv: "/its/own"})
	if network != "unix" || at != socket {
		t.Fatalf("at %s %s", network, at)
	}
	ctx := t.Context()
	first := dialElsewhere(t, "unix://"+socket, insecure.NewCredentials())
	second := dialElsewhere(t, "unix://"+socket, insecure.NewCredentials())
	alive, err := healthpb.NewHealthClient(first).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil || alive.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", alive, err)
	}
	same := Configuration{Values: map[string]string{"TEST_WORD": "a", "TEST_TOKEN": "hunter2"}, StateDir: "/host", LogLevel: "info"}
	if _, err := NewPluginClient(first).Configure(ctx, Configuration{Values: same.Values, Inspect: true}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("opened for a look: %v", err)
	}
	for _, conn := range []*grpc.ClientConn{first, second} {
		if _, err := NewPluginClient(conn).Configure(ctx, same); err != nil {
			t.Fatal(err)
		}
	}
	if e.opened.StateDir != "/its/own" {
		t.Errorf("state folder %q", e.opened.StateDir)
	}
	_, err = NewPluginClient(second).Configure(ctx, Configuration{Values: map[string]string{"TEST_WORD": "a", "TEST_TOKEN": "other"}})
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "other values of TEST_TOKEN:") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("other settings: %v", err)
	}
	if err := NewPluginClient(second).SetLogLevel(ctx, "debug"); err != nil {
		t.Errorf("log level: %v", err)
	}
	if err := NewPluginClient(first).Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := NewPluginClient(second).Check(ctx); err != nil || e.closed.Load() != 0 {
		t.Errorf("after another host's shutdown: %v, closed %d times", err, e.closed.Load())
	}
	other := newElsewhere(t)
	err = other.served.listen(ctx, "unix://"+socket, func(string) string { return "" }, &other.printed)
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("on the same socket: %v", err)
	}
	if err := end(); err != nil || e.closed.Load() != 1 {
		t.Errorf("its end: %v, closed %d times", err, e.closed.Load())
	}
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket is left behind")
	}
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	files := certificates(t, dir)
	notPEM := filepath.Join(dir, "text")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(address, cert, key, ca string) map[string]string {
		return map[string]string{listenEnv: address, certFileEnv: cert, keyFileEnv: key, caFileEnv: ca}
	}
	for name, tc := range map[string]struct {
		env  map[string]string
		want string
	}{
		"scheme":        {with("http://127.0.0.1:1", "", "", ""), `LOGGER_PLUGIN_LISTEN="http://127.0.0.1:1": no such scheme: want unix:///PATH or tcp://HOST:PORT`},
		"relative":      {with("unix://s", "", "", ""), "no absolute path"},
		"port":          {with("tcp://127.0.0.1", "", "", ""), "missing port"},
		"open":          {with("tcp://0.0.0.0:0", "", "", ""), "others can reach this address: want mutual TLS (LOGGER_PLUGIN_TLS_CERT_FILE, "},
		"open, no host": {with("tcp://:0", "", "", ""), "others can reach this address"},
		"half":          {with("tcp://127.0.0.1:0", files.cert, files.key, ""), "LOGGER_PLUGIN_TLS_CA_FILE is not set"},
		"no file":       {with("tcp://127.0.0.1:0", dir+"/none", files.key, files.ca), "/none: no such file"},
		"no PEM":        {with("tcp://127.0.0.1:0", files.cert, files.key, notPEM), "want certificates in PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newElsewhere(t)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err := e.served.listen(ctx, tc.env[listenEnv], func(name string) string { return tc.env[name] }, &e.printed)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// TestListenWithTLS: a client without a certificate of the authority is refused. Replaced
// certificates apply from the next connection on.
func TestListenWithTLS(t *testing.T) {
	files, foreign := certificates(t, t.TempDir()), certificates(t, t.TempDir())
	_, at, _ := newElsewhere(t).listen(t, map[string]string{
		listenEnv: "tcp://127.0.0.1:0", certFileEnv: files.cert, keyFileEnv: files.key, caFileEnv: files.ca,
	})
	check := func(creds credentials.TransportCredentials) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := NewPluginClient(dialElsewhere(t, at, creds)).Describe(ctx)
		return err
	}
	if err := check(files.client(t, files)); err != nil {
		t.Errorf("with certificates: %v", err)
	}
	for name, creds := range map[string]credentials.TransportCredentials{
		"plain": insecure.NewCredentials(), "foreign client": foreign.client(t, files), "foreign server": files.client(t, foreign),
	} {
		if err := check(creds); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for from, to := range map[string]string{foreign.cert: files.cert, foreign.key: files.key, foreign.ca: files.ca} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := check(files.client(t, files)); err != nil { // the files are now the foreign ones
		t.Errorf("with exchanged certificates: %v", err)
	}
}

type certFiles struct{ cert, key, ca string }

// client returns a host's credentials: f's certificate, and trust in the authority of others.
func (f certFiles) client(t *testing.T, others certFiles) credentials.TransportCredentials {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(others.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool, MinVersion: tls.VersionTLS12})
}

// certificates makes an authority and a certificate signed by it, which serves 127.0.0.1 as client
// and as server.
func certificates(t *testing.T, dir string) certFiles {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "both"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte, err error) string {
		path := filepath.Join(dir, name)
		if err == nil {
			err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := certFiles{}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	f.ca = write("ca.pem", "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	f.cert = write("cert.pem", "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	f.key = write("key.pem", "PRIVATE KEY", der, err)
	return f
}
