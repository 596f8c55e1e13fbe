package nsq

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// authority signs certificates and keeps their files.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // of its own certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.file = a.sign("authority", a.cert, a.key)
	return a
}

// issue makes a certificate and its key, in files.
func (a *authority) issue(name string, addrs ...net.IP) (cert, key string) {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.sign(name, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: addrs,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, k), a.write(name+".key", "EC PRIVATE KEY", der)
}

func (a *authority) sign(name string, c *x509.Certificate, key *ecdsa.PrivateKey) string {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".crt", "CERTIFICATE", der)
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

var loopback = net.IPv4(127, 0, 0, 1)

// consume checks that messages of any size get through, in both directions.
func consume(t *testing.T, s *nsqtest.Server, a *aggregator) {
	t.Helper()
	const n = 5000
	h := &fakeHost{}
	stop := start(t, a, h)
	s.Publish(topic, append(numbered(0, n-1, 300), numbered(n-1, 1, 900_000)...)...)
	testwait.Until(t, "all delivered", func() bool { return h.count() == n })
	wantEmpty(t, s)
	seen := make([]bool, n)
	for _, m := range h.messages() {
		seen[number(t, m)] = true
	}
	for i, ok := range seen {
		if !ok {
			t.Fatalf("message %d is missing", i)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if c := s.Channel(topic, channel); c.Requeued != 0 || c.TimedOut != 0 {
		t.Errorf("requeued %d, timed out %d: want none", c.Requeued, c.TimedOut)
	}
}

func TestTLSAndCompression(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue("nsqd", loopback)
	mine, mineKey := ca.issue("logger")
	s := nsqtest.Start(t, inMemory, func(o *nsqd.Options) {
		o.TLSCert, o.TLSKey, o.TLSRootCAFile = cert, key, ca.file
		o.TLSClientAuthPolicy, o.TLSRequired = "require-verify", nsqd.TLSRequiredExceptHTTP
	})
	plain := nsqtest.Start(t, inMemory)
	for _, compression := range []string{"none", "deflate", "snappy"} {
		t.Run("plain "+compression, func(t *testing.T) {
			consume(t, plain, open(t, plain.TCPAddr(), map[string]string{"NSQ_COMPRESSION": compression}))
		})
		t.Run("TLS "+compression, func(t *testing.T) {
			consume(t, s, open(t, s.TCPAddr(), map[string]string{
				"NSQ_COMPRESSION": compression, "NSQ_TLS": "true", "NSQ_TLS_CA_FILE": ca.file,
				"NSQ_TLS_CERT_FILE": mine, "NSQ_TLS_KEY_FILE": mineKey,
			}))
		})
	}
	t.Run("unchecked", func(t *testing.T) {
		consume(t, s, open(t, s.TCPAddr(), map[string]string{
			"NSQ_TLS": "true", "NSQ_TLS_SKIP_VERIFY": "true", "NSQ_TLS_CERT_FILE": mine, "NSQ_TLS_KEY_FILE": mineKey,
		}))
	})
	t.Run("nsqd without compression", func(t *testing.T) {
		s := nsqtest.Start(t, inMemory, func(o *nsqd.Options) { o.DeflateEnabled, o.SnappyEnabled = false, false })
		consume(t, s, open(t, s.TCPAddr(), map[string]string{"NSQ_COMPRESSION": "snappy"}))
	})
	tls := map[string]string{"NSQ_TLS": "true", "NSQ_TLS_CA_FILE": ca.file}
	for name, c := range map[string]struct {
		addr string
		env  map[string]string
		want []string
	}{
		"nsqd has none":      {plain.TCPAddr(), tls, []string{"NSQ_TLS is set, and this nsqd has no TLS"}},
		"nsqd wants it":      {s.TCPAddr(), nil, []string{"refused: E_INVALID ", "TLS required", ": NSQ_TLS=true is what it asks for"}},
		"unknown authority":  {s.TCPAddr(), map[string]string{"NSQ_TLS": "true"}, []string{"TLS: ", "unknown authority (NSQ_TLS_CA_FILE "}},
		"no certificate":     {s.TCPAddr(), tls, []string{"TLS: nsqd breaks it off: ", "certificate required (NSQ_TLS_CERT_FILE "}},
		"HTTP port of nsqd":  {plain.HTTPAddr(), nil, []string{"this is an HTTP port; NSQ's is another one, 4150 by default"}},
		"HTTP port, and TLS": {plain.HTTPAddr(), tls, []string{"this is an HTTP port; NSQ's is another one, 4150 by default"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, c.addr, c.env)
			start(t, a, &fakeHost{})
			wantCheck(t, a, append([]string{"not connected to nsqd at " + c.addr + ": "}, c.want...)...)
		})
	}
	t.Run("another name", func(t *testing.T) {
		cert, key := ca.issue("other", net.IPv4(10, 9, 8, 7))
		s := nsqtest.Start(t, func(o *nsqd.Options) { o.TLSCert, o.TLSKey = cert, key })
		a := open(t, s.TCPAddr(), tls)
		start(t, a, &fakeHost{})
		wantCheck(t, a, "TLS: ", "10.9.8.7, not 127.0.0.1 (nsqd is known under the name ")
	})
}

func TestTLSSettings(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue("mine")
	_, otherKey := ca.issue("other")
	for env, c := range map[string]struct {
		settings Settings
		want     string
	}{
		"CA file without TLS":  {Settings{TLSCAFile: ca.file}, "NSQ_TLS_CA_FILE is set and NSQ_TLS is not"},
		"skip without TLS":     {Settings{TLSSkipVerify: true}, "NSQ_TLS_SKIP_VERIFY is set and NSQ_TLS is not"},
		"CA file is absent":    {Settings{TLS: true, TLSCAFile: ca.file + "x"}, "NSQ_TLS_CA_FILE="},
		"CA file is none":      {Settings{TLS: true, TLSCAFile: key}, "NSQ_TLS_CA_FILE="},
		"certificate, no key":  {Settings{TLS: true, TLSCertFile: cert}, "NSQ_TLS_CERT_FILE is set and NSQ_TLS_KEY_FILE is not"},
		"key, no certificate":  {Settings{TLS: true, TLSKeyFile: key}, "NSQ_TLS_KEY_FILE is set and NSQ_TLS_CERT_FILE is not"},
		"another's key":        {Settings{TLS: true, TLSCertFile: cert, TLSKeyFile: otherKey}, "NSQ_TLS_CERT_FILE="},
		"nsqlookupd as URL":    {Settings{Lookupds: "http://a:4161"}, "NSQ_LOOKUPD_ADDRS="},
		"nsqlookupd, no port":  {Settings{Lookupds: "a"}, "NSQ_LOOKUPD_ADDRS="},
		"nsqd, trailing comma": {Settings{NSQDs: "a:4150,"}, "NSQ_NSQD_ADDRS="},
		"nsqd, bad port":       {Settings{NSQDs: "a:4150,b:0"}, "NSQ_NSQD_ADDRS="},
	} {
		t.Run(env, func(t *testing.T) {
			c.settings.Topic, c.settings.Channel = topic, channel
			_, err := Open(t.Context(), c.settings, sdk.Host{})
			if !errors.Is(err, sdk.ErrInvalid) || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if _, err := Open(t.Context(), Settings{Topic: topic, Channel: channel, TLS: true, TLSCertFile: cert, TLSKeyFile: key}, sdk.Host{}); err != nil {
		t.Error(err)
	}
}

// authServer lets one secret subscribe to one topic.
func authServer(t *testing.T, secret, topic string) func(*nsqd.Options) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("secret") != secret {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"ttl": 60, "identity": "logger",
			"authorizations": []map[string]any{
				{"topic": "^" + topic + "$", "channels": []string{".*"}, "permissions": []string{"subscribe"}},
			},
		})
	}))
	t.Cleanup(srv.Close)
	return func(o *nsqd.Options) { o.AuthHTTPAddresses = []string{srv.Listener.Addr().String()} }
}

func TestAuth(t *testing.T) {
	t.Parallel()
	const secret = "the one"
	s := nsqtest.Start(t, inMemory, authServer(t, secret, topic))
	consume(t, s, open(t, s.TCPAddr(), map[string]string{"NSQ_AUTH_SECRET": secret}))
	open1 := nsqtest.Start(t, inMemory)
	consume(t, open1, open(t, open1.TCPAddr(), map[string]string{"NSQ_AUTH_SECRET": secret})) // nsqd does not ask for it
	for name, c := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"none":          {nil, []string{"this nsqd wants AUTH, and NSQ_AUTH_SECRET is not set"}},
		"wrong":         {map[string]string{"NSQ_AUTH_SECRET": "another"}, []string{"refused: E_AUTH_FAILED AUTH failed: nsqd's auth server does not accept NSQ_AUTH_SECRET"}},
		"another topic": {map[string]string{"NSQ_AUTH_SECRET": secret, "NSQ_TOPIC": "other"}, []string{`refused: E_UNAUTHORIZED AUTH failed for SUB on "other" "consume": NSQ_AUTH_SECRET is not allowed`}},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, s.TCPAddr(), c.env)
			start(t, a, &fakeHost{})
			wantCheck(t, a, append([]string{"not connected to nsqd at " + s.TCPAddr() + ": "}, c.want...)...)
			if err := a.Check(t.Context()); strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("the secret is told: %v", err)
			}
		})
	}
	settings, err := sdk.DeclareSettings[Settings]()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range settings {
		if one.Secret != (one.Env == "NSQ_AUTH_SECRET") {
			t.Errorf("%s: secret is %t", one.Env, one.Secret)
		}
	}
}

// peerSaying returns a server that answers every request with the same bytes.
func peerSaying(t *testing.T, text []byte) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1<<10))
			_, _ = c.Write(text)
			_, _ = c.Read(make([]byte, 1<<10)) // whatever else the client sends
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l.Addr().String()
}

func TestCheckSaysWhatIsWrongInOneLine(t *testing.T) {
	l := nsqtest.StartLookupd(t)
	ok := frameBytes(0, []byte(`{"max_rdy_count":10}`))
	for name, c := range map[string]struct {
		addr string
		want string
	}{
		"nsqlookupd":          {l.TCPAddr(), "refused: E_BAD_PROTOCOL: this is not nsqd's TCP port; nsqlookupd belongs into NSQ_LOOKUPD_ADDRS"},
		"topic":               {peerSaying(t, append(bytes.Clone(ok), frameBytes(1, []byte("E_BAD_TOPIC SUB topic name \"x\"\nis not valid"))...)), `refused: E_BAD_TOPIC SUB topic name "x" is not valid: NSQ_TOPIC names it`},
		"channel":             {peerSaying(t, append(bytes.Clone(ok), frameBytes(1, []byte("E_BAD_CHANNEL"))...)), "refused: E_BAD_CHANNEL: NSQ_CHANNEL names it"},
		"TLS from the start":  {peerSaying(t, []byte{0x15, 3, 1, 0, 2, 2, 70}), "this port speaks TLS from the start, which nsqd's HTTPS port does; its TCP port is another one, 4150 by default"},
		"a server of mail":    {peerSaying(t, []byte("220 mail.example ESMTP\r\n")), "this does not speak NSQ's protocol"},
		"one that says no OK": {peerSaying(t, frameBytes(0, []byte("OK"))), `answer to IDENTIFY: "OK"`},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, c.addr, nil)
			start(t, a, &fakeHost{})
			wantCheck(t, a, "not connected to nsqd at "+c.addr+": "+c.want)
		})
	}
	for name, c := range map[string]struct {
		tune func(*nsqd.Options)
		want string
	}{
		"message timeout": {
			func(o *nsqd.Options) { o.MaxMsgTimeout = 5 * time.Second },
			"refused: E_BAD_BODY IDENTIFY msg timeout (10000) is invalid: NSQ_MSG_TIMEOUT_SECONDS may be no more than nsqd's --max-msg-timeout",
		},
		"heartbeat interval": { // no setting of ours changes that
			func(o *nsqd.Options) { o.MaxHeartbeatInterval = time.Second },
			"refused: E_BAD_BODY IDENTIFY heartbeat interval (5000) is invalid: nsqd's --max-heartbeat-interval has to be 5s or more",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := nsqtest.Start(t, c.tune)
			a := open(t, s.TCPAddr(), nil)
			start(t, a, &fakeHost{})
			wantCheck(t, a, c.want)
		})
	}
}

// TestHintsNameASettingThatHelps compares the hints with nsqd's errors.
func TestHintsNameASettingThatHelps(t *testing.T) {
	for answer, want := range map[string]string{
		"E_BAD_BODY IDENTIFY output buffer size (65536) is invalid":  "",
		"E_BAD_BODY IDENTIFY failed to decode JSON body":             "",
		"E_BAD_BODY AUTH body too big 7 > 5":                         "NSQ_AUTH_SECRET is longer than nsqd's --max-body-size",
		"E_IDENTIFY_FAILED IDENTIFY failed write: broken pipe":       "",
		"E_INVALID cannot SUB in current state (TLS required)":       "NSQ_TLS=true is what it asks for",
		"E_INVALID cannot SUB in current state":                      "",
		"E_AUTH_FIRST AUTH required before SUB":                      "it wants NSQ_AUTH_SECRET",
		"E_UNAUTHORIZED AUTH failed for SUB on \"logs\" \"consume\"": "NSQ_AUTH_SECRET is not allowed to subscribe to NSQ_TOPIC and NSQ_CHANNEL",
		"E_NEW_IN_NSQD_9": "",
	} {
		if got := newRefusal([]byte(answer)).hint; got != want {
			t.Errorf("%s: the hint is %q, want %q", answer, got, want)
		}
	}
}

func TestAnNSQDThatTakesNoOutputBuffer(t *testing.T) {
	s := nsqtest.Start(t, inMemory, func(o *nsqd.Options) {
		o.MinOutputBufferTimeout, o.MaxOutputBufferSize = 100*time.Millisecond, 1<<10
	})
	consume(t, s, open(t, s.TCPAddr(), nil))
}
