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

// Denied is the error of a request that is not let in.
type Denied struct {
	Status       int
	Code, Reason string
}

func (d *Denied) Error() string { return d.Reason }

// Guard says who may ask. The zero Guard lets everyone in.
type Guard struct {
	// Tokens are asked for below /v1 and /loki; nil asks for none.
	Tokens *Tokens
	// LogsAskToken has /logs ask for one too. The platform's controller sends none.
	LogsAskToken bool
	// Hosts are the names that requests may be for, in lower case; none is any. "*.NAME"
	// is all names below NAME.
	Hosts []string
}

// ParseHosts reads names with commas between. Among them, * is any.
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

// Host refuses a request for a name that is not among the hosts. A page of a foreign name that
// an attacker's DNS points here (DNS rebinding) asks for that name. An IP address is no name,
// so it is always accepted.
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

// ErrFull is the error of a request for which there is no room.
var ErrFull = errors.New("as many requests are being answered as LOGGER_MAX_CONNECTIONS allows")

// Admit lets a request in that is for a name of this logger, unless full says that there is no
// room. It fails with [ErrFull] then, and the connection is closed.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request, full func(context.Context) bool) error {
	err := g.Host(r)
	if err == nil && full(r.Context()) {
		w.Header().Set("Connection", "close")
		return ErrFull
	}
	return err
}

// Token refuses a request without a token, if tokens are asked for.
func (g *Guard) Token(r *http.Request) error {
	if g.Tokens == nil || g.Tokens.Allow(r) {
		return nil
	}
	return &Denied{http.StatusUnauthorized, "unauthorized", "a valid token is needed: Authorization: Bearer TOKEN"}
}

// Hold returns a context that ends with [ErrRevoked] once the token, by which a request was let
// in, is no longer good. The caller calls release.
func (g *Guard) Hold(ctx context.Context, token Token) (_ context.Context, release func()) {
	if g.Tokens == nil {
		return ctx, func() {}
	}
	return g.Tokens.hold(ctx, token)
}
