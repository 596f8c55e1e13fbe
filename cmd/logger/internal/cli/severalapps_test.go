package cli

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/deis/logger/client/clienttest"
)

func TestTailOfSeveralApps(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	s.Append("foo", "one")
	s.Append("shop-a", "two")
	s.Add("shop-b", clienttest.Entry{Source: "controller", Message: "three"})
	const foo, shopA, shopB = "foo[web.v1.abcde]: one\n", "shop-a[web.v1.abcde]: two\n", "shop-b[controller]: three\n"
	sh.want(ExitOK, foo+shopA+shopB, "", "tail", "foo", "shop-*")
	sh.want(ExitOK, foo+shopA+shopB, "", "tail", "--all")
	sh.want(ExitOK, shopA+shopB, "", "tail", "shop-*")
	sh.want(ExitOK, shopB, "", "tail", "--all", "-n", "1")
	sh.want(ExitOK, "foo one\nshop-a two\n", "", "tail", "foo", "shop-a", "--template", "{{.App}} {{.Message}}")
	sh.want(ExitOK, foo, `no such app yet: nothing is kept of "fo" (did you mean "foo"?)`, "tail", "foo", "fo")
	sh.want(ExitNoApp, "", "no such app yet: nothing is kept of 'x*' 'y*'", "tail", "x*", "y*")
	sh.want(ExitOK, shopB, "", "tail", "foo", "shop-*", "--resume", "m01-2")
	if got := s.Requests()[0].URL.Query()["app"]; strings.Join(got, " ") != "foo" && s.Requests()[0].URL.Path != "/v1/apps/foo" {
		t.Errorf("asked for %v", got)
	}
	sh.run("tail", "foo", "shop-a", "--color", "always")
	lines := strings.SplitAfter(sh.stdout.String(), "\n")
	colour := func(line, name string) string {
		before, _, _ := strings.Cut(line, name)
		return before
	}
	if a, b := colour(lines[0], "foo"), colour(lines[1], "shop-a"); a == b || a == "" || b == "" {
		t.Errorf("the apps' colours: %q", lines)
	}
}

// TestFollowSeveralApps tells at the end how to resume.
func TestFollowSeveralApps(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	s.Append("foo", "one")
	sh.stdout.on = func(all string) {
		switch {
		case strings.HasSuffix(all, "one\n"):
			s.Append("shop-a", "two")
		case strings.HasSuffix(all, "two\n"):
			sh.stop(Stopped{syscall.SIGINT})
		}
	}
	sh.want(128+int(syscall.SIGINT), "foo[web.v1.abcde]: one\nshop-a[web.v1.abcde]: two\n",
		"to go on from here: logger tail foo 'shop-*' -f --resume m01-1,shop-a=0123456789abcdef-2", "tail", "foo", "shop-*", "-f")
}

// TestGoingOnChoosesTheSame: the printed command to resume has the flags that choose lines.
func TestGoingOnChoosesTheSame(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	s.Append("foo", "it's one")
	sh.stdout.on = func(string) { sh.stop(Stopped{syscall.SIGINT}) }
	sh.want(128+int(syscall.SIGINT), "foo[web.v1.abcde]: it's one\n",
		`to go on from here: logger tail foo -f --process='web' --process='x' --include='it'\''s' --include='b' --context='2' --resume 0123456789abcdef-1`,
		"tail", "foo", "-f", "-n", "1", "-p", "web,x", "-i", "it's", "-i", "b", "-C", "2", "-o", "default")
}

// TestGapOfSeveralApps: a gap names its app.
func TestGapOfSeveralApps(t *testing.T) {
	s := clienttest.New(t)
	s.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/logs" {
			return false
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = w.Write([]byte(`{"type":"gap","app":"foo","from":"m00","to":"m00","count":3,"exact":true,"reason":"slow"}` + "\n"))
		return true
	})
	newShell(t, s).want(ExitOK, "", "--- foo: 3 lines are missing here: this reader was too slow for them", "tail", "foo", "bar")
}
