package v1

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// Tokens are those of a file, one a line; a line that begins with # is a comment. The
// file is read again when it changed, so that tokens can be replaced one by one. They
// are kept as hashes, of one length, which are compared in constant time.
type Tokens struct {
	path   string
	logger hclog.Logger

	mu      sync.Mutex
	looked  time.Time
	changed time.Time
	size    int64
	hashes  [][sha256.Size]byte
}

const (
	// lookEvery is how often the file is looked at, at most.
	lookEvery = time.Second
	// maxTokensFile bounds the file.
	maxTokensFile = 1 << 20
)

// OpenTokens reads the file. One that is missing, or has no token, is refused.
func OpenTokens(path string, logger hclog.Logger) (*Tokens, error) {
	t := &Tokens{path: path, logger: logger}
	if err := t.read(); err != nil {
		return nil, err
	}
	if len(t.hashes) == 0 {
		return nil, sdk.Refusef("it has no token: want one a line")
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o004 != 0 {
		logger.Warn("the file of tokens can be read by everyone on this machine", "file", path, "mode", info.Mode().Perm().String())
	}
	return t, nil
}

func (t *Tokens) read() error {
	info, err := os.Stat(t.path)
	if err != nil {
		return err
	}
	if info.ModTime().Equal(t.changed) && info.Size() == t.size {
		return nil
	}
	if info.Size() > maxTokensFile {
		return fmt.Errorf("%d bytes are too many for tokens, want at most %d: %w", info.Size(), maxTokensFile, sdk.ErrInvalid)
	}
	b, err := os.ReadFile(t.path)
	if err != nil {
		return err
	}
	t.hashes = nil
	for line := range bytes.Lines(b) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			t.hashes = append(t.hashes, sha256.Sum256(line))
		}
	}
	t.changed, t.size = info.ModTime(), info.Size()
	return nil
}

// current are the hashes that the file has now. A file that cannot be read leaves those
// that were known; one without tokens lets nobody in.
func (t *Tokens) current() [][sha256.Size]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.looked) > lookEvery {
		t.looked = time.Now()
		before := t.changed
		if err := t.read(); err != nil {
			t.logger.Warn("the file of tokens cannot be read: the tokens that were in it go on", "error", err)
		} else if !t.changed.Equal(before) {
			t.logger.Info("the file of tokens was read again", "tokens", len(t.hashes))
		}
	}
	return t.hashes
}

// Allow says whether the request has one of the tokens.
func (t *Tokens) Allow(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	given := sha256.Sum256([]byte(strings.TrimSpace(token)))
	ok := 0
	for _, hash := range t.current() { // all of them, so that the time tells nothing
		ok |= subtle.ConstantTimeCompare(given[:], hash[:])
	}
	return ok == 1
}
