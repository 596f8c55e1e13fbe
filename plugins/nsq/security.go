package nsq

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/deis/logger/sdk"
)

// tlsConfig returns what connections are secured with; nil without TLS. The files are
// read once, so that one which is wrong is refused at the start.
func (s *Settings) tlsConfig() (*tls.Config, error) {
	if !s.TLS {
		for env, set := range map[string]bool{
			"NSQ_TLS_CA_FILE": s.TLSCAFile != "", "NSQ_TLS_CERT_FILE": s.TLSCertFile != "",
			"NSQ_TLS_KEY_FILE": s.TLSKeyFile != "", "NSQ_TLS_SKIP_VERIFY": s.TLSSkipVerify,
		} {
			if set { // whoever sets it believes that the connection is secure
				return nil, sdk.Refusef("%s is set and NSQ_TLS is not: want both or neither", env)
			}
		}
		return nil, nil
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: s.TLSSkipVerify, //nolint:gosec // off unless the operator asks for it by name
	}
	if s.TLSCAFile != "" {
		pem, err := os.ReadFile(s.TLSCAFile)
		if err != nil {
			return nil, sdk.Refusef("NSQ_TLS_CA_FILE=%.200q: want a readable file: %v", s.TLSCAFile, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, sdk.Refusef("NSQ_TLS_CA_FILE=%.200q: want certificates in PEM form", s.TLSCAFile)
		}
	}
	switch {
	case s.TLSCertFile == "" && s.TLSKeyFile == "":
		return config, nil
	case s.TLSKeyFile == "":
		return nil, sdk.Refusef("NSQ_TLS_CERT_FILE is set and NSQ_TLS_KEY_FILE is not: want both or neither")
	case s.TLSCertFile == "":
		return nil, sdk.Refusef("NSQ_TLS_KEY_FILE is set and NSQ_TLS_CERT_FILE is not: want both or neither")
	}
	cert, err := tls.LoadX509KeyPair(s.TLSCertFile, s.TLSKeyFile)
	if err != nil {
		return nil, sdk.Refusef("NSQ_TLS_CERT_FILE=%.200q: want a certificate whose key is in NSQ_TLS_KEY_FILE: %v", s.TLSCertFile, err)
	}
	config.Certificates = []tls.Certificate{cert}
	return config, nil
}
