package redis

import (
	"cmp"
	"crypto/tls"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/deis/logger/sdk"
)

// The values of LOGGER_REDIS_MODE.
const (
	single   = "single"
	cluster  = "cluster"
	sentinel = "sentinel"
)

// target says which Redis the settings lead to.
type target struct {
	addrs []string    // of Redis, nodes of a cluster, or Sentinels
	tls   *tls.Config // nil without TLS
}

// target checks whether the settings agree, which their single declarations cannot. Each refusal is
// one line that names the culprit.
func (s *Settings) target() (target, error) {
	if err := s.checkMode(); err != nil {
		return target{}, err
	}
	addrs, secure, err := s.addrs()
	if err != nil {
		return target{}, err
	}
	config, err := sdk.ClientTLS{
		Prefix: "LOGGER_REDIS_TLS", On: secure, CAFile: s.TLSCAFile, CertFile: s.TLSCertFile, KeyFile: s.TLSKeyFile, SkipVerify: s.TLSSkipVerify,
	}.Config()
	return target{addrs: addrs, tls: config}, err
}

func (s *Settings) checkMode() error {
	switch {
	case s.Mode == cluster && s.DB != 0:
		return sdk.Refusef("DEIS_LOGGER_REDIS_DB=%d: want 0 with LOGGER_REDIS_MODE=cluster, which has that database alone", s.DB)
	case s.Mode == sentinel && s.SentinelMaster == "":
		return sdk.Refusef("LOGGER_REDIS_SENTINEL_MASTER is not set: want the master's name with LOGGER_REDIS_MODE=sentinel")
	case s.Mode == sentinel && s.URLs == "": // a Redis at the default address is no Sentinel
		return sdk.Refusef("LOGGER_REDIS_URLS is not set: want host:port of the Sentinels with LOGGER_REDIS_MODE=sentinel")
	case s.Mode != sentinel && s.SentinelMaster != "":
		return sdk.Refusef("LOGGER_REDIS_SENTINEL_MASTER=%.100q: want it unset with LOGGER_REDIS_MODE=%s", s.SentinelMaster, s.Mode)
	case s.Mode != sentinel && s.SentinelPassword != "":
		return sdk.Refusef("LOGGER_REDIS_SENTINEL_PASSWORD is set: want it unset with LOGGER_REDIS_MODE=%s", s.Mode)
	case s.Username != "" && s.Password == "": // go-redis would not send it
		return sdk.Refusef("LOGGER_REDIS_USERNAME=%.100q: want DEIS_LOGGER_REDIS_PASSWORD beside it", s.Username)
	}
	return nil
}

// addrs returns the addresses, each once, and whether they ask for TLS.
func (s *Settings) addrs() (addrs []string, secure bool, err error) {
	if s.URLs == "" {
		return []string{net.JoinHostPort(cmp.Or(s.Host, "localhost"), strconv.Itoa(s.Port))}, s.TLS, nil
	}
	// A password in an address is a slip that must not be repeated in a log.
	if strings.Contains(s.URLs, "@") {
		return nil, false, sdk.Refusef("LOGGER_REDIS_URLS has a user or password: want these in LOGGER_REDIS_USERNAME and DEIS_LOGGER_REDIS_PASSWORD")
	}
	secured, plain := 0, 0
	for text := range strings.SplitSeq(s.URLs, ",") {
		addr := strings.TrimSpace(text)
		if rest, ok := strings.CutPrefix(addr, "rediss://"); ok {
			addr, secured = rest, secured+1
		} else if rest, ok := strings.CutPrefix(addr, "redis://"); ok {
			addr, plain = rest, plain+1
		}
		if addr = strings.TrimSuffix(addr, "/"); !isAddr(addr) {
			return nil, false, sdk.Refusef("LOGGER_REDIS_URLS=%.200q: want host:port, redis://host:port or rediss://host:port, or several with commas between", s.URLs)
		}
		if !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	switch {
	case s.Mode == single && len(addrs) > 1:
		return nil, false, sdk.Refusef("LOGGER_REDIS_URLS=%.200q: want one address, or LOGGER_REDIS_MODE=cluster or sentinel", s.URLs)
	case plain > 0 && (s.TLS || secured > 0), secured > 0 && secured < strings.Count(s.URLs, ",")+1 && !s.TLS:
		return nil, false, sdk.Refusef("LOGGER_REDIS_URLS=%.200q: want TLS to all of them (rediss:// or LOGGER_REDIS_TLS) or to none", s.URLs)
	}
	return addrs, s.TLS || secured > 0, nil
}

// isAddr reports whether addr is a host:port that can be dialled.
func isAddr(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || strings.ContainsAny(host, "/ \t?#") {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
