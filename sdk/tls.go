package sdk

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"os"
)

// ClientTLS holds the settings that secure a plugin's connections to its backend. Prefix is the
// environment variable of On, such as NSQ_TLS. Errors name the other settings by it:
// NSQ_TLS_CA_FILE, NSQ_TLS_CERT_FILE, NSQ_TLS_KEY_FILE and NSQ_TLS_SKIP_VERIFY.
type ClientTLS struct {
	Prefix string
	On     bool
	// CAFile names a PEM file of the authorities that may have signed the backend's certificate. If
	// it is empty, the system's authorities count.
	CAFile string
	// CertFile and KeyFile name PEM files: the certificate that the plugin shows to the backend,
	// and its key. Set both or neither.
	CertFile, KeyFile string
	// SkipVerify accepts any certificate of the backend.
	SkipVerify bool
}

// Config reads the files and returns the configuration of TLS, or nil if TLS is off. An error is
// one line that names the setting, and wraps [ErrInvalid].
func (c ClientTLS) Config() (*tls.Config, error) {
	ca, cert, key := c.Prefix+"_CA_FILE", c.Prefix+"_CERT_FILE", c.Prefix+"_KEY_FILE"
	if !c.On {
		for env, set := range map[string]bool{
			ca: c.CAFile != "", cert: c.CertFile != "", key: c.KeyFile != "", c.Prefix + "_SKIP_VERIFY": c.SkipVerify,
		} {
			if set { // whoever sets it believes that the connection is secure
				return nil, Refusef("%s is set and %s is not: want both or neither", env, c.Prefix)
			}
		}
		return nil, nil
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: c.SkipVerify, //nolint:gosec // off unless the operator asks for it by name
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, Refusef("%s=%.200q: want a readable file: %v", ca, c.CAFile, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, Refusef("%s=%.200q: want certificates in PEM form", ca, c.CAFile)
		}
	}
	switch {
	case cmp.Or(c.CertFile, c.KeyFile) == "":
		return config, nil
	case c.KeyFile == "":
		return nil, Refusef("%s is set and %s is not: want both or neither", cert, key)
	case c.CertFile == "":
		return nil, Refusef("%s is set and %s is not: want both or neither", key, cert)
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, Refusef("%s=%.200q: want a certificate whose key is in %s: %v", cert, c.CertFile, key, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}
