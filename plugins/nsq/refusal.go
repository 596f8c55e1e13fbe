package nsq

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode"
	"unicode/utf8"
)

// refusedError holds an error with which nsqd answered, perhaps with a hint about what to do.
type refusedError struct {
	answer string // as nsqd said it, in one line
	hint   string
}

// Error implements error.
func (e *refusedError) Error() string {
	if e.hint == "" {
		return "refused: " + e.answer
	}
	return "refused: " + e.answer + ": " + e.hint
}

// code returns the first word of nsqd's answer, such as E_INVALID.
func (e *refusedError) code() string { return errorCode(e.answer) }

// errorCode returns the first word of an error that nsqd answered with.
func errorCode(answer string) string {
	code, _, _ := strings.Cut(answer, " ")
	return code
}

// hints say what an operator can do about a refusal. An answer gets the first hint whose code it
// has and whose part it contains. A hint names a setting of ours only if changing it helps.
var hints = []struct{ code, part, hint string }{
	{"E_BAD_BODY", "msg timeout", "NSQ_MSG_TIMEOUT_SECONDS may be no more than nsqd's --max-msg-timeout"},
	{"E_BAD_BODY", "heartbeat interval", "nsqd's --max-heartbeat-interval has to be " + heartbeat.String() + " or more"},
	{"E_BAD_BODY", "AUTH body too big", "NSQ_AUTH_SECRET is longer than nsqd's --max-body-size"},
	{"E_BAD_TOPIC", "", "NSQ_TOPIC names it"},
	{"E_BAD_CHANNEL", "", "NSQ_CHANNEL names it"},
	{"E_AUTH_FAILED", "", "nsqd's auth server does not accept NSQ_AUTH_SECRET, or does not answer"},
	{"E_UNAUTHORIZED", "", "NSQ_AUTH_SECRET is not allowed to subscribe to NSQ_TOPIC and NSQ_CHANNEL"},
	{"E_AUTH_FIRST", "", "it wants NSQ_AUTH_SECRET"},
	{"E_BAD_PROTOCOL", "", "this is not nsqd's TCP port; nsqlookupd belongs into NSQ_LOOKUPD_ADDRS"},
	{"E_INVALID", "TLS required", "NSQ_TLS=true is what it asks for"},
}

// newRefusal returns the error for an answer of nsqd.
func newRefusal(said []byte) *refusedError {
	e := &refusedError{answer: oneLine(said)}
	for _, h := range hints {
		if h.code == e.code() && strings.Contains(e.answer, h.part) {
			e.hint = h.hint
			break
		}
	}
	return e
}

// notNSQ returns the error for the first bytes of another protocol, read as a frame.
func notNSQ(head []byte) error {
	switch {
	case strings.HasPrefix(string(head), "HTTP"):
		return errors.New("this is an HTTP port; NSQ's is another one, 4150 by default")
	case len(head) > 1 && (head[0] == 0x15 || head[0] == 0x16) && head[1] == 3:
		return errors.New("this port speaks TLS from the start, which nsqd's HTTPS port does; its TCP port is another one, 4150 by default")
	}
	return nil
}

// tlsError explains why a connection did not become secure.
func tlsError(err error) error {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var alert *net.OpError
	switch {
	case errors.As(err, &authority):
		return fmt.Errorf("TLS: %w (NSQ_TLS_CA_FILE names the authorities that count)", err)
	case errors.As(err, &name):
		return fmt.Errorf("TLS: %w (nsqd is known under the name that it is connected by)", err)
	case errors.As(err, &alert) && alert.Op == "remote error":
		return fmt.Errorf("TLS: nsqd breaks it off: %w (NSQ_TLS_CERT_FILE is what it gets to see)", err)
	}
	return fmt.Errorf("TLS: %w", err)
}

// maxAnswer bounds the part of nsqd's answer that goes into an error line.
const maxAnswer = 300

// oneLine makes text from outside fit into a line.
func oneLine(said []byte) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return ' '
	}, string(said[:min(len(said), maxAnswer)]))
	return strings.Join(strings.Fields(text), " ")
}
