package access

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/deis/logger/sdk"
)

// Denied tells why a request is not admitted.
type Denied struct {
	Status       int
	Code, Reason string
}

func (d *Denied) Error() string { return d.Reason }

// Guard decides who may ask. The zero Guard admits everyone.
type Guard struct {
	// Tokens are needed below /v1 and /loki; if nil, no token is needed.
	Tokens *Tokens
	// LogsAskToken makes /logs need a token too. The platform's controller sends none.
	LogsAskToken bool
	// Hosts lists the host names, in lower case, that requests may name. If it is empty, any may.
	// "*.NAME" stands for all names below NAME.
	Hosts []string
}

// ParseHosts reads comma-separated names. If one is *, any name is allowed.
func ParseHosts(text string) (hosts []string, err error) {
	for host := range strings.SplitSeq(text, ",") {
		host = strings.ToLower(strings.TrimSpace(host))
		switch {
		case host == "":
		case host == "*":
			return nil, nil
		case strings.ContainsAny(strings.TrimPrefix(host, "*."), ":/* "):
			return nil, sdk.Refusef("%.80q: want names without a port, such as logger.example.com or *.example.com", host)
		default:
			hosts = append(hosts, host)
		}
	}
	return hosts, nil
}

// Host refuses a request whose host name is not in Hosts. A web page of a foreign name that an
// attacker's DNS points here (DNS rebinding) sends that name. An IP address is not a name, so it is
// always accepted.
func (g *Guard) Host(r *http.Request) error {
	if len(g.Hosts) == 0 {
		return nil
	}
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return nil
	}
	for _, host := range g.Hosts {
		if below, ok := strings.CutPrefix(host, "*"); host == name || ok && strings.HasSuffix(name, below) && name != below {
			return nil
		}
	}
	return &Denied{http.StatusForbidden, "forbidden", "this logger does not answer for the host " + strings.ToValidUTF8(name, "?") +
		": LOGGER_ALLOWED_HOSTS has its names"}
}

// ErrFull tells that there is no room for a request.
var ErrFull = errors.New("as many requests are being answered as LOGGER_MAX_CONNECTIONS allows")

// Admit admits a request that names this logger. If full reports that there is no room, it fails
// with [ErrFull] and the connection is closed.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request, full func(context.Context) bool) error {
	err := g.Host(r)
	if err == nil && full(r.Context()) {
		w.Header().Set("Connection", "close")
		return ErrFull
	}
	return err
}

// Token refuses a request without a valid token, if tokens are needed.
func (g *Guard) Token(r *http.Request) error {
	if g.Tokens == nil || g.Tokens.Allow(r) {
		return nil
	}
	return &Denied{http.StatusUnauthorized, "unauthorized", "a valid token is needed: Authorization: Bearer TOKEN"}
}

// Hold returns a context that ends with [ErrRevoked] once the token that admitted the request is no
// longer good. The caller calls release.
func (g *Guard) Hold(ctx context.Context, token Token) (_ context.Context, release func()) {
	if g.Tokens == nil {
		return ctx, func() {}
	}
	return g.Tokens.hold(ctx, token)
}
