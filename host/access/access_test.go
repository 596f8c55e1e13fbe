package access

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func with(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// open opens a file with one token, and runs the Tokens that read it again.
func open(t *testing.T) (tokens *Tokens, path string, log *testrun.Output) {
	t.Helper()
	path, log = filepath.Join(t.TempDir(), "tokens"), &testrun.Output{}
	if err := os.WriteFile(path, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := Open(path, hclog.New(&hclog.LoggerOptions{Output: log}))
	if err != nil {
		t.Fatal(err)
	}
	testrun.Start(t, tokens.Run)
	return tokens, path, log
}

// TestFileThatIsNone tries a FIFO, which would block its reader, a folder, a device, and a file
// that does not exist.
func TestFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, dir, "/dev/zero", big, filepath.Join(dir, "missing")} {
		began := time.Now()
		if _, err := ReadFile(path); err == nil || time.Since(began) > patience {
			t.Errorf("%s: %v after %s", path, err, time.Since(began))
		}
		if _, err := Open(path, hclog.NewNullLogger()); err == nil {
			t.Errorf("%s is taken for tokens", path)
		}
	}
}

// TestTokensWhileTheirFileIsAFIFO: requests do not wait for the file, and the known tokens stay
// valid. Once there is a file again, it is read.
func TestTokensWhileTheirFileIsAFIFO(t *testing.T) {
	tokens, path, log := open(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	testwait.Within(t, 20*time.Second, "the log tells it", func() bool {
		return strings.Contains(log.String(), "the tokens read before stay valid")
	})
	for range 100 {
		began := time.Now()
		if !tokens.Allow(with("first")) || time.Since(began) > time.Second {
			t.Fatalf("after %s", time.Since(began))
		}
	}
	if n := strings.Count(log.String(), "cannot be read"); n != 1 {
		t.Errorf("told %d times", n)
	}
	other := path + ".new"
	if err := os.WriteFile(other, []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	testwait.Within(t, 20*time.Second, "the file is read again", func() bool { return tokens.Allow(with("second")) })
	if tokens.Allow(with("first")) {
		t.Error("a token that is gone is good")
	}
}

// TestHoldEndsWithItsToken: the context ends when its own token is removed, and not when another
// is.
func TestHoldEndsWithItsToken(t *testing.T) {
	tokens, path, _ := open(t)
	g := &Guard{Tokens: tokens}
	token, _ := Given(with("first"))
	held, release := g.Hold(context.Background(), token)
	defer release()
	if err := os.WriteFile(path, []byte("first\nsecond\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	testwait.Within(t, 20*time.Second, "the file is read again", func() bool { return tokens.Allow(with("second")) })
	if held.Err() != nil {
		t.Errorf("it ended though its token is good: %v", context.Cause(held))
	}
	began := time.Now()
	if err := os.WriteFile(path, []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-held.Done():
	case <-time.After(20 * time.Second):
	}
	if !errors.Is(context.Cause(held), ErrRevoked) {
		t.Errorf("after %s: %v", time.Since(began), context.Cause(held))
	}
	late, releaseLate := g.Hold(context.Background(), token) // the request was admitted before the token was removed
	defer releaseLate()
	if !errors.Is(context.Cause(late), ErrRevoked) {
		t.Errorf("a hold that comes after the end of its token: %v", context.Cause(late))
	}
}

func TestParseHosts(t *testing.T) {
	hosts, err := ParseHosts(" Logger.Example.com, *.svc ,,")
	if err != nil || strings.Join(hosts, " ") != "logger.example.com *.svc" {
		t.Errorf("%q, %v", hosts, err)
	}
	if hosts, err := ParseHosts("a,*"); err != nil || hosts != nil {
		t.Errorf("%q, %v", hosts, err)
	}
	for _, text := range []string{"a:80", "http://a", "a b", "a.*", "*a", "**.a"} {
		if hosts, err := ParseHosts(text); !errors.Is(err, sdk.ErrInvalid) {
			t.Errorf("%q: %q, %v", text, hosts, err)
		}
	}
}
