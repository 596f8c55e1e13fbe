package plugin

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/sdk"
)

// Attachment says where a plugin is that runs without the host: the host connects to it, and
// neither starts nor ends it.
type Attachment struct {
	// Target is a gRPC target, dns:///HOST:PORT or unix:///PATH.
	Target string
	// TLS names the files of mutual TLS; without them the connection is plain.
	TLS TLSFiles
	// Debug is set for a plugin that may stand at a breakpoint: the connection is kept, however
	// long the plugin does not answer.
	Debug bool
	// PID is the process id; 0 if it is not known.
	PID int
	// Protocol is the version of the contract that the plugin speaks.
	Protocol int
}

// TLSFiles name the files of mutual TLS, in PEM, and the variables that name them.
type TLSFiles struct {
	Cert, Key, CA          string
	CertEnv, KeyEnv, CAEnv string
}

// load reads the files. Its errors name the variable and wrap [sdk.ErrInvalid].
func (f TLSFiles) load() (*tls.Config, error) {
	read := func(env, path string) ([]byte, error) {
		b, err := access.ReadFile(path)
		if err != nil {
			return nil, sdk.Refusef("%s=%.200q: %v", env, path, err)
		}
		return b, nil
	}
	cert, err := read(f.CertEnv, f.Cert)
	if err != nil {
		return nil, err
	}
	key, err := read(f.KeyEnv, f.Key)
	if err != nil {
		return nil, err
	}
	ca, err := read(f.CAEnv, f.CA)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, sdk.Refusef("%s=%.200q, %s=%.200q: want a certificate and its key in PEM: %v", f.CertEnv, f.Cert, f.KeyEnv, f.Key, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, sdk.Refusef("%s=%.200q: want certificates in PEM: it has none", f.CAEnv, f.CA)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: roots}, nil
}

// NewAttachment returns the attachment to an address, which the variable env has; nil for "". It
// refuses a plain connection that leaves the machine. Its errors wrap [sdk.ErrInvalid].
func NewAttachment(env, address string, files TLSFiles) (*Attachment, error) {
	prefix := strings.TrimSuffix(env, "_ADDR") + "_TLS_"
	files.CertEnv, files.KeyEnv, files.CAEnv = prefix+"CERT_FILE", prefix+"KEY_FILE", prefix+"CA_FILE"
	names := []string{files.CertEnv, files.KeyEnv, files.CAEnv}
	given := []string{files.Cert, files.Key, files.CA}
	unset := slices.Index(given, "")
	none := files.Cert+files.Key+files.CA == ""
	switch {
	case address == "" && none:
		return nil, nil
	case address == "":
		return nil, sdk.Refusef("%s are for a plugin elsewhere: want %s too, or none of them", strings.Join(names, ", "), env)
	case unset >= 0 && !none:
		return nil, sdk.Refusef("%s is not set: want %s, all three, or none", names[unset], strings.Join(names, ", "))
	}
	if none {
		files = TLSFiles{}
	}
	a := &Attachment{Target: address, TLS: files, Protocol: sdk.ProtocolVersion}
	if path, ok := strings.CutPrefix(address, "unix://"); ok && filepath.IsAbs(path) {
		return a, nil
	}
	at, ok := strings.CutPrefix(address, "dns:///")
	host, port, err := net.SplitHostPort(at)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if !ok || err != nil || host == "" || portErr != nil || number == 0 {
		return nil, sdk.Refusef("%s=%.200q: want dns:///HOST:PORT or unix:///PATH", env, address)
	}
	if none && !isLoopback(host) {
		return nil, sdk.Refusef("%s=%.200q: lines and secrets would cross the network in plain text: want mutual TLS (%s), a loopback address or a unix socket",
			env, address, strings.Join(names, ", "))
	}
	return a, nil
}

func isLoopback(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }

// ReattachEnv is the variable that [Reattachments] reads.
const ReattachEnv = "LOGGER_PLUGIN_REATTACH"

// Reattachments reads the attachments to plugins under a debugger, by KIND-NAME, from JSON in the
// form of go-plugin's reattach configurations. It accepts only wanted plugins. Its errors wrap
// [sdk.ErrInvalid].
func Reattachments(text string, wanted ...string) (map[string]*Attachment, error) {
	all := map[string]*Attachment{}
	if text == "" {
		return all, nil
	}
	var given map[string]struct {
		Protocol             string
		ProtocolVersion, Pid int
		Addr                 struct{ Network, String string }
	}
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		return nil, sdk.Refusef("%s: want the JSON that a plugin with LOGGER_PLUGIN_LISTEN prints: %v", ReattachEnv, err)
	}
	for name, g := range given {
		if !slices.Contains(wanted, name) {
			return nil, sdk.Refusef("%s names %.80q: this logger uses %s", ReattachEnv, name, strings.Join(wanted, " and "))
		}
		a := &Attachment{Debug: true, PID: g.Pid, Protocol: g.ProtocolVersion}
		host, _, err := net.SplitHostPort(g.Addr.String)
		switch {
		case g.Protocol != "grpc":
			return nil, sdk.Refusef("%s: Protocol %.80q of %s: want grpc", ReattachEnv, g.Protocol, name)
		case !slices.Contains(sdk.Protocols(), g.ProtocolVersion):
			return nil, sdk.Refusef("%s: ProtocolVersion %d of %s: want %s", ReattachEnv, g.ProtocolVersion, name, versions(sdk.Protocols()))
		case g.Addr.Network == "unix" && filepath.IsAbs(g.Addr.String):
			a.Target = "unix://" + g.Addr.String
		case g.Addr.Network == "tcp" && err == nil && isLoopback(host):
			a.Target = "dns:///" + g.Addr.String
		default:
			return nil, sdk.Refusef("%s: Addr %.80q %.200q of %s: want a unix socket's path, or tcp and a loopback address",
				ReattachEnv, g.Addr.Network, g.Addr.String, name)
		}
		all[name] = a
	}
	return all, nil
}

// Find returns the plugin of that kind and name: its attachment if there is one, else the installed
// plugin, as [Catalog.Find] does.
func Find(c *Catalog, attachments map[string]*Attachment, kind sdk.Kind, name string) (Executable, *Attachment, error) {
	exe := Executable{Kind: kind, Name: name}
	if at := attachments[exe.String()]; at != nil {
		return exe, at, nil
	}
	exe, err := c.Find(kind, name)
	return exe, nil, err
}

// where says where the plugin is, for a person.
func (o *Options) where() string {
	if o.Attachment != nil {
		return "the plugin at " + o.Attachment.Target
	}
	return filepath.Base(o.Executable.Path)
}
