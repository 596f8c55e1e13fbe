package redis

import (
	"testing"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
)

func TestTLS(t *testing.T) {
	certs, others := redistest.NewCertificates(t), redistest.NewCertificates(t)
	server := redistest.StartTLS(t, certs)
	secure := func(c *redistest.Certificates) func(*Settings) {
		return func(s *Settings) {
			s.TLS, s.TLSCAFile, s.TLSCertFile, s.TLSKeyFile = true, c.CAFile, c.CertFile, c.KeyFile
		}
	}
	s := open(t, server, secure(certs))
	mustAppend(t, s, batch("w", 1, "app", 1, 10))
	want(t, s, "app", 1, 1, 10)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	want(t, open(t, server, secure(certs), func(s *Settings) { s.TLS, s.URLs = false, "rediss://"+server.Addr }), "app", 1, 1, 10)
	want(t, open(t, server, secure(certs), func(s *Settings) { s.TLSCAFile, s.TLSSkipVerify = "", true }), "app", 1, 1, 10)

	for what, change := range map[string]func(*Settings){
		"no TLS":                    func(*Settings) {},
		"no certificate":            func(s *Settings) { s.TLS, s.TLSCAFile = true, certs.CAFile },
		"another authority":         func(s *Settings) { secure(certs)(s); s.TLSCAFile = others.CAFile },
		"the system's authorities":  func(s *Settings) { secure(certs)(s); s.TLSCAFile = "" },
		"another one's certificate": func(s *Settings) { secure(others)(s); s.TLSCAFile = certs.CAFile },
	} {
		s := open(t, server, change)
		for call, err := range map[string]error{"Check": s.Check(t.Context()), "Append": s.Append(t.Context(), batch("w", 2, "app", 11, 12))} {
			if err == nil {
				t.Errorf("%s: %s succeeds", what, call)
				continue
			}
			wantUnavailable(t, s, err)
			if contains(err.Error(), "\n") {
				t.Errorf("%s: %s says %q, want one line", what, call, err)
			}
		}
	}
	want(t, s, "app", 1, 1, 10)
}

func TestTLSCluster(t *testing.T) {
	certs := redistest.NewCertificates(t)
	c := redistest.StartClusterTLS(t, certs, 3, 1).Patient()
	s := openCluster(t, c, func(s *Settings) {
		s.URLs, s.WaitReplicas = "rediss://"+s.URLs, 1
		s.TLSCAFile, s.TLSCertFile, s.TLSKeyFile = certs.CAFile, certs.CertFile, certs.KeyFile
	})
	testwait.NoError(t, func() error { return s.Append(t.Context(), wide(1, 1, 5)) })
	for i := range 20 {
		want(t, s, wide(1, 1, 5).Apps[i].App, 1, 1, 5)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
