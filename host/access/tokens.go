package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// Tokens holds the tokens of a file, one a line; a line that begins with # is a comment. It keeps
// hashes, which have one length and are compared in constant time.
type Tokens struct {
	path   string
	logger hclog.Logger

	mu     sync.Mutex
	text   []byte // hash of the file's text
	hashes []Token
	held   map[*hold]struct{}
}

// Token holds the hash of a token.
type Token [sha256.Size]byte

// hold ends a lasting request whose token is revoked.
type hold struct {
	token Token
	end   context.CancelCauseFunc
}

// ErrRevoked ends a request whose token is no longer in the file.
var ErrRevoked = &Denied{http.StatusUnauthorized, "unauthorized", "the token is no longer good"}

// ReadEvery is the interval at which the file is read.
const ReadEvery = time.Second

// Open reads the file, and refuses one that cannot be read or has no token. [Tokens.Run] reads it
// again.
func Open(path string, logger hclog.Logger) (*Tokens, error) {
	t := &Tokens{path: path, logger: logger, held: make(map[*hold]struct{})}
	text, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	if t.take(text); len(t.hashes) == 0 {
		return nil, sdk.Refusef("it has no token: want one a line")
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o004 != 0 {
		logger.Warn("the file of tokens can be read by everyone on this machine", "file", path, "mode", info.Mode().Perm().String())
	}
	return t, nil
}

// Run reads the file again and again until ctx ends, so that tokens can be replaced one by one. No
// request waits for it: while the file cannot be read, the tokens known so far stay valid. A file
// without tokens admits nobody.
func (t *Tokens) Run(ctx context.Context) error {
	tick := time.NewTicker(ReadEvery)
	defer tick.Stop()
	var reading <-chan content
	var began time.Time
	told := false // that the file cannot be read
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			switch {
			case reading == nil:
				reading, began = begin(t.path), time.Now()
			case time.Since(began) > patience && !told:
				told = true
				t.logger.Warn("reading the file of tokens takes long: the tokens read before stay valid", "file", t.path, "for", time.Since(began).Round(time.Second))
			}
		case c := <-reading:
			reading = nil
			switch {
			case c.err == nil:
				told = false
				if t.take(c.bytes) {
					t.logger.Info("the file of tokens was read again", "tokens", len(t.hashes))
				}
			case !told:
				told = true
				t.logger.Warn("the file of tokens cannot be read: the tokens read before stay valid", "error", c.err)
			}
		}
	}
}

// take replaces the tokens by those of the text, and reports whether the text is new. It ends the
// requests whose token is gone.
func (t *Tokens) take(text []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := sha256.Sum256(text)
	if bytes.Equal(t.text, sum[:]) {
		return false
	}
	t.text, t.hashes = sum[:], nil
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			t.hashes = append(t.hashes, sha256.Sum256(line))
		}
	}
	for h := range t.held {
		if !t.has(h.token) {
			h.end(ErrRevoked)
		}
	}
	return true
}

// has compares all of the tokens, so that its duration tells nothing. The caller holds the lock.
func (t *Tokens) has(token Token) bool {
	ok := 0
	for _, known := range t.hashes {
		ok |= subtle.ConstantTimeCompare(token[:], known[:])
	}
	return ok == 1
}

// Given returns the request's token. ok is false if the request has none.
func Given(r *http.Request) (token Token, ok bool) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return sha256.Sum256([]byte(strings.TrimSpace(text))), strings.EqualFold(scheme, "Bearer")
}

// Allow reports whether the request has one of the tokens.
func (t *Tokens) Allow(r *http.Request) bool {
	token, ok := Given(r)
	t.mu.Lock()
	defer t.mu.Unlock()
	return ok && t.has(token)
}

// hold returns a context that ends with ErrRevoked once the token is not in the file. The
// caller calls release.
func (t *Tokens) hold(ctx context.Context, token Token) (_ context.Context, release func()) {
	ctx, end := context.WithCancelCause(ctx)
	h := &hold{token: token, end: end}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held[h] = struct{}{}
	if !t.has(token) {
		end(ErrRevoked)
	}
	return ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.held, h)
		end(nil)
	}
}
