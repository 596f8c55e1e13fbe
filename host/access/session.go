package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

// Session holds what the token of a session states.
type Session struct {
	App     string `json:"a"` // of several apps: comma-separated names and patterns
	Several bool   `json:"s,omitempty"`
	Expires int64  `json:"e"`           // seconds since the Unix epoch
	Filters string `json:"f,omitempty"` // as in a URL
	// Floor is the cursor, of one app or of several, at which the session's lines began when it was
	// made: its owner may not read older lines.
	Floor string `json:"c,omitempty"`
}

// Key signs sessions.
type Key []byte

// maxToken keeps a token within what the server accepts as a header.
const maxToken = 8 << 10

// tokenBegins begins every token: it is the name of the first field, in base64.
const tokenBegins = "eyJhIjo"

// Sign makes a token: the session, and a code that proves that the key's owner signed it.
func (k Key) Sign(s Session) (string, error) {
	payload, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(payload)
	token := text + "." + base64.RawURLEncoding.EncodeToString(k.code(text))
	if len(token) > maxToken {
		return "", sdk.Refusef("the apps and filters make a URL of %d bytes, want at most %d", len(token), maxToken)
	}
	return token, nil
}

func (k Key) code(text string) []byte {
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte("session " + text))
	return mac.Sum(nil)
}

// Verify returns what a token states. It fails with a [Denied] if the key did not sign the token,
// or the session has expired.
func (k Key) Verify(token string, now time.Time) (s Session, err error) {
	invalid := &Denied{http.StatusUnauthorized, "unauthorized", "this is not the URL of a session, or of one that this logger does not know"}
	text, code, ok := strings.Cut(token, ".")
	if !ok || len(token) > maxToken {
		return s, invalid
	}
	given, err := base64.RawURLEncoding.DecodeString(code)
	if err != nil || !hmac.Equal(given, k.code(text)) {
		return s, invalid
	}
	payload, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(payload, &s) != nil {
		return s, invalid
	}
	if now.Unix() >= s.Expires {
		return s, &Denied{http.StatusUnauthorized, "unauthorized", "the session expired at " + time.Unix(s.Expires, 0).UTC().Format(time.RFC3339)}
	}
	return s, nil
}

// RedactPath returns a request's path as it may be logged: without the token of a session. It finds
// the token however the path is spelt, because a token in a wrong path can still be used.
func RedactPath(path string) string {
	parts := strings.Split(path, "/")
	after := false // the part before was "sessions"
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil {
			plain = part
		}
		switch {
		case plain == "" || plain == "." || plain == "..":
			continue
		case after || strings.Contains(plain, tokenBegins):
			parts[i] = "(" + strconv.Itoa(len(part)) + " bytes)"
		}
		after = strings.EqualFold(plain, "sessions")
	}
	return strings.Join(parts, "/")
}
