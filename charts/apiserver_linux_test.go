//go:build chartlive

package charts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// apiServer runs a kube-apiserver on the loopback interface, without controllers or nodes. So it
// keeps a Deployment, but nothing makes pods of it.
type apiServer struct {
	url, token, kubeconfig string
	client                 *http.Client
	resources              map[string]resource // by apiVersion and kind
}

// resource holds what the server says of a kind.
type resource struct {
	path       string // of its API's version
	Name, Kind string
	Namespaced bool
	Verbs      []string
}

// objects returns the path of the resource's objects in a namespace.
func (r resource) objects(namespace string) string {
	return r.path + "/namespaces/" + namespace + "/" + r.Name
}

// startAPIServer runs an API server and its etcd until the end of the test. It has the custom
// resources of the Prometheus operator.
func startAPIServer(t *testing.T) *apiServer {
	t.Helper()
	program, err := filepath.Abs(filepath.Join("..", "bin", "kube-apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	dir, port := t.TempDir(), freePort(t)
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := &apiServer{url: "https://127.0.0.1:" + port, token: rand.Text()}
	// etcd wants a port in every URL. This is a socket of that name in the working directory.
	const socket = "unix://etcd:0"
	start(t, dir, "etcd", "--data-dir", "data", "--listen-client-urls", socket, "--advertise-client-urls", socket,
		"--listen-peer-urls", "http://127.0.0.1:0", "--unsafe-no-fsync")
	accounts := file("accounts.pem", privateKey(t))
	ended := start(t, dir, program, "--etcd-servers", socket, "--cert-dir", dir, "--bind-address", "127.0.0.1", "--secure-port", port,
		"--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.0.0.0/16",
		"--token-auth-file", file("tokens", s.token+",admin,admin,system:masters\n"), "--authorization-mode", "RBAC",
		"--service-account-issuer", s.url, "--service-account-key-file", accounts, "--service-account-signing-key-file", accounts,
		// It protects each claim by a finalizer that only a controller takes away.
		"--disable-admission-plugins", "StorageObjectInUseProtection")
	certificate := filepath.Join(dir, "apiserver.crt") // which the server makes and signs itself
	until(t, "the API server is ready", ended, func() error {
		text, err := os.ReadFile(certificate)
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
		t.Cleanup(transport.CloseIdleConnections)
		s.client = &http.Client{Transport: transport}
		return s.ask(t, http.MethodGet, "/readyz", "", nil)
	})
	s.kubeconfig = file("kubeconfig", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: test,
clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}],
users: [{name: test, user: {token: %s}}],
contexts: [{name: test, context: {cluster: test, user: test}}]}`, s.url, certificate, s.token))
	for _, kind := range []string{"servicemonitors", "prometheusrules"} {
		definition, err := os.ReadFile(filepath.Join(operator(t), "example/prometheus-operator-crd/monitoring.coreos.com_"+kind+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		s.create(t, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", string(definition))
		until(t, kind+" are served", ended, func() error {
			return s.ask(t, http.MethodGet, "/apis/monitoring.coreos.com/v1/"+kind, "", nil)
		})
	}
	s.discover(t)
	return s
}

// operator returns the folder of the Prometheus operator's sources, which define its custom
// resources.
func operator(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/prometheus-operator/prometheus-operator@v0.85.0").Output()
	var module struct{ Dir, Error string }
	if err := errors.Join(err, json.Unmarshal(out, &module)); err != nil {
		t.Fatalf("download the Prometheus operator: %v: %s", err, module.Error)
	}
	return module.Dir
}

// discover asks the server for its resources.
func (s *apiServer) discover(t *testing.T) {
	t.Helper()
	paths := map[string]string{"v1": "/api/v1"}
	var all struct {
		Groups []struct {
			Versions []struct{ GroupVersion string }
		}
	}
	s.get(t, "/apis", &all)
	for _, group := range all.Groups {
		for _, version := range group.Versions {
			paths[version.GroupVersion] = "/apis/" + version.GroupVersion
		}
	}
	s.resources = map[string]resource{}
	for version, path := range paths {
		var list struct{ Resources []resource }
		s.get(t, path, &list)
		for _, r := range list.Resources {
			r.path = path
			if !strings.Contains(r.Name, "/") { // such as deployments/status
				s.resources[version+" "+r.Kind] = r
			}
		}
	}
}

// get decodes what the server has at the path.
func (s *apiServer) get(t *testing.T, path string, into any) {
	t.Helper()
	if err := s.ask(t, http.MethodGet, path, "", into); err != nil {
		t.Fatal(err)
	}
}

// create makes an object, a YAML document.
func (s *apiServer) create(t *testing.T, path, document string) {
	t.Helper()
	if err := s.ask(t, http.MethodPost, path+"?fieldValidation=Strict", document, nil); err != nil {
		t.Fatal(err)
	}
}

// ask sends a request with a YAML document. A refusal and a warning are errors.
func (s *apiServer) ask(t *testing.T, method, path, document string, into any) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(document))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/yaml")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/apply-patch+yaml")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if warnings := response.Header["Warning"]; response.StatusCode >= http.StatusMultipleChoices || len(warnings) > 0 {
		return fmt.Errorf("%s %s: %s %q %s", method, path, response.Status, warnings, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

// start runs a program until the end of the test, and fails the test if it ends before. The program
// dies with this process, however that ends. The channel is closed when it has ended.
func start(t *testing.T, dir, program string, args ...string) (ended <-chan struct{}) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...) // without the test's context: the clean-up ends it
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	go func() { // ends with the program
		defer close(done)
		runtime.LockOSThread() // the signal comes when the thread ends that started the program
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it ends when it is killed
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-done:
			text, err := os.ReadFile(log.Name())
			t.Errorf("%s ended: %v: %s", program, err, text[max(0, len(text)-4096):])
		default:
			_ = cmd.Process.Kill()
			<-done
		}
		_ = log.Close()
	})
	return done
}

// until polls for two minutes at most, while the server has not ended.
func until(t *testing.T, what string, ended <-chan struct{}, try func() error) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ended:
			t.Fatal("the API server ended")
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// freePort returns a port of the loopback interface that nobody has just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// privateKey returns a new key, which signs the tokens of service accounts.
func privateKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}
