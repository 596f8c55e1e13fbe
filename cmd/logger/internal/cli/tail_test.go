package cli

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/deis/logger/client"
	"github.com/deis/logger/client/clienttest"
)

func TestTailPrintsAndEnds(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	s.Append("foo", "one", "two\n  more", "\x1b[31mred\x1b]0;title\x07\x1b[0m")
	const where = "foo[web.v1.abcde]: "
	sh.want(ExitOK, where+"one\n"+where+"two\n  more\n"+where+"red\n", "", "tail", "foo")
	sh.want(ExitOK, where+"red\n", "", "tail", "foo", "-n", "1")
	sh.want(ExitOK, where+"red\n", "", "tail", "-n1", "foo")
	sh.want(ExitOK, where+"red\n", "", "tail", "foo", "--tail=1")
	sh.want(ExitOK, "", "", "tail", "foo", "-n", "0")
	sh.want(ExitOK, "2026-01-02T15:04:05+02:00 "+where+"red\n", "", "tail", "foo", "-n", "1", "-t")
	sh.want(ExitOK, "one\ntwo\n  more\nred\n", "", "tail", "foo", "-o", "raw", "-n", "-1")
	sh.want(ExitOK, "red\n", "", "tail", "foo", "--prefix=false", "--lines", "1")
	sh.want(ExitOK, "\x1b[31mred\x1b]0;title\x07\x1b[0m\n", "", "tail", "foo", "-o", "raw", "-n", "1", "--raw")
	sh.want(ExitOK, "\x1b[31mred\x1b[0m\x1b[0m\n", "", "tail", "foo", "-o", "raw", "-n", "1", "--color", "always")
	sh.want(ExitOK, "abcde red\n", "", "tail", "foo", "-n", "1", "--template", "{{.Suffix}} {{.Message}}")
	sh.want(ExitOK, "one\nt", "", "tail", "foo", "-o", "raw", "--limit-bytes", "5")
	sh.want(ExitOK, "\x1b[31mr\x1b[0m", "", "tail", "foo", "-o", "raw", "-n", "1", "--color", "always", "--limit-bytes", "10")
	sh.want(ExitOK, "red\n", "", "tail", "foo", "-o", "raw", "--resume", "0123456789abcdef-2")
	if sh.run("tail", "foo", "-o", "json"); strings.Count(sh.stdout.String(), `{"type":"entry","cursor":`) != 3 || strings.Count(sh.stdout.String(), "\n") != 3 {
		t.Errorf("%s", sh.stdout)
	}
}

func TestTailOnATerminal(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	s.Append("foo", "two\n\x1b[32mlines\x1b[2J", strings.Repeat("x", 3000))
	sh.terminal = true
	sh.run("tail", "foo")
	got := strings.SplitAfter(sh.stdout.String(), "\n")
	colour, _, _ := strings.Cut(got[0], "foo")
	if got[0] != colour+"foo[web.v1.abcde]:\x1b[0m two\n" || got[1] != strings.Repeat(" ", 19)+"\x1b[32mlines\x1b[0m\n" || colour == "" {
		t.Errorf("%q", got[:2])
	}
	if !strings.HasSuffix(got[2], strings.Repeat("x", 2000)+"\x1b[2m … [a line of 3000 bytes; --max-width 0 shows all]\x1b[0m\n") {
		t.Errorf("%q", got[2])
	}
	sh.run("tail", "foo", "--max-width", "0", "-n", "1")
	if !strings.HasSuffix(sh.stdout.String(), strings.Repeat("x", 3000)+"\n") {
		t.Errorf("%q", sh.stdout)
	}
	for name, set := range map[string]func(){
		"NO_COLOR": func() { sh.env["NO_COLOR"] = "1" },
		"dumb":     func() { sh.env["TERM"] = "dumb"; delete(sh.env, "NO_COLOR") },
	} {
		set()
		if sh.run("tail", "foo"); strings.Contains(sh.stdout.String(), "\x1b") {
			t.Errorf("%s: %q", name, sh.stdout)
		}
		if sh.run("tail", "foo", "--color", "always"); !strings.Contains(sh.stdout.String(), "\x1b[32mlines") {
			t.Errorf("%s, --color always: %q", name, sh.stdout)
		}
	}
	delete(sh.env, "TERM")
	if sh.run("tail", "foo", "--color=never"); strings.Contains(sh.stdout.String(), "\x1b") {
		t.Errorf("never: %q", sh.stdout)
	}
}

func TestTailQuery(t *testing.T) {
	for args, want := range map[string]string{
		"":                                       "lines=100",
		"-n 5":                                   "lines=5",
		"-n all":                                 "lines=-1",
		"--tail -1":                              "lines=-1",
		"--since 10m":                            "lines=-1 since=10m0s",
		"--since 2d":                             "lines=-1 since=48h0m0s",
		"--since 1d12h -n 3":                     "lines=3 since=36h0m0s",
		"--since-time 2026-01-02T03:04:05+02:00": "lines=-1 since=2026-01-02T03:04:05+02:00",
		"--until 1h":                             "lines=-1 until=1h0m0s",
		"--since 0s":                             "lines=-1 since=0s",
		"--since 0 -n 7":                         "lines=7 since=0s",
		"--until 0s":                             "lines=-1 until=0s",
		"--since 0001-01-01T00:00:00Z":           "lines=-1 since=0001-01-01T00:00:00Z",
		"--resume x-1":                           "after=x-1 lines=-1",
		"-p web,cron -p worker":                  "lines=100 process=web process=cron process=worker",
		"--pod a --release v1":                   "lines=100 pod=a release=v1",
		"--source app --stream stderr":           "lines=100 source=app stream=stderr",
		"--level warn":                           "level=warn lines=100",
		"-i x -C 3":                              "context_after=3 context_before=3 include=x lines=100",
		"-i x -A 2 -B 1":                         "context_after=2 context_before=1 include=x lines=100",
		"-i x --context=3 --after-context=0":     "context_before=3 include=x lines=100",
		"--fields status,user.id --fields a":     "fields=status fields=user.id fields=a lines=100",
		"--group":                                "group=true lines=100",
		"-i a,b":                                 "include=a,b lines=100",
		"-i a -i b|c -e x -e y":                  "exclude=x exclude=y include=a include=b|c lines=100",
	} {
		s := clienttest.New(t)
		s.Append("foo", "x")
		sh := newShell(t, s)
		if code := sh.run(append([]string{"tail", "foo"}, strings.Fields(args)...)...); code != ExitOK {
			t.Errorf("%s: %d %s", args, code, sh.stderr)
		}
		query := s.Requests()[0].URL.Query()
		var got []string
		for _, name := range []string{"after", "context_after", "context_before", "exclude", "fields", "group", "include", "level", "lines", "pod", "process", "release", "since", "source", "stream", "until"} {
			for _, value := range query[name] {
				got = append(got, name+"="+value)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", args, strings.Join(got, " "), want)
		}
	}
}

// TestFollow meets everything that can happen to a tail, one after the other.
func TestFollow(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	steps := []struct{ sees, then string }{
		{"no such app yet: ", "one"},
		{"foo[web.v1.abcde]: one\n", "stop"},
		{"--- the logger is stopping; connecting again\n", "start"},
		{"--- connected again after ", "gap"},
		{"--- 12 lines are missing here: newer lines had pushed them out\n", "two"},
		{"foo[web.v1.abcde]: two\n", "interrupt"},
	}
	next := 0
	act := func() {
		all := sh.stdout.String() + sh.stderr.String()
		for next < len(steps) && strings.Contains(all, steps[next].sees) {
			next++
			switch what := steps[next-1].then; what {
			case "stop":
				s.End("stopping")
			case "start":
				s.Append("foo", "while it was away")
				s.End("")
			case "gap":
				s.Insert("foo", 3, `{"type":"gap","from":"","to":"0123456789abcdef-2","count":12,"exact":true,"reason":"evicted"}`)
				s.Append("foo", "after the gap")
			case "interrupt":
				sh.stop(Stopped{syscall.SIGINT})
			default:
				s.Append("foo", what)
			}
		}
	}
	sh.stdout.on = func(string) { act() }
	sh.stderr.on = func(string) { act() }
	code := sh.run("tail", "foo", "-f")
	const where = "foo[web.v1.abcde]: "
	want := where + "one\n" + where + "while it was away\n" + where + "after the gap\n" + where + "two\n"
	if code != 130 || sh.stdout.String() != want || next != len(steps) {
		t.Errorf("exit code %d after %d steps\n%s\n%s", code, next, sh.stdout, sh.stderr)
	}
	if !strings.HasSuffix(sh.stderr.String(), "to go on from here: logger tail foo -f --resume 0123456789abcdef-4\n") {
		t.Errorf("%s", sh.stderr)
	}
}

// TestZeroIsATime: a log that has lines has none since now, so they match nothing.
func TestZeroIsATime(t *testing.T) {
	s := clienttest.New(t)
	s.Create("foo")
	sh := newShell(t, s)
	sh.want(ExitOK, "", "no line of foo matches\n", "tail", "foo", "--since", "0s")
	sh.want(ExitOK, "", "no line of foo matches\n", "tail", "foo", "--until", "0s")
}

// TestFollowSaysWhatItWaitsFor when there is nothing to print.
func TestFollowSaysWhatItWaitsFor(t *testing.T) {
	s := clienttest.New(t)
	s.Create("foo")
	for args, want := range map[string]string{
		"":              "no lines yet: foo is known, but nothing is kept of it; waiting for the next, Ctrl-C ends\n",
		"-i x":          "no line of foo matches so far; waiting for one that does, Ctrl-C ends\n",
		"-n 5 -q":       "",
		"-n 0":          "",
		"--level error": "no line of foo matches so far; waiting for one that does, Ctrl-C ends\n",
		"-p web":        "no line of foo matches so far; waiting for one that does, Ctrl-C ends\n",
	} {
		sh := newShell(t, s)
		sh.stdout.on = func(string) { sh.stop(Stopped{syscall.SIGINT}) }
		sh.stderr.on = sh.stdout.on
		if want == "" {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for sh.ctx.Err() == nil {
					s.Append("foo", "x")
					<-time.After(time.Millisecond)
				}
			}()
			defer func() { <-done }()
		}
		if code := sh.run(append([]string{"tail", "foo", "-f"}, strings.Fields(args)...)...); code != 130 || !strings.HasPrefix(sh.stderr.String(), want) {
			t.Errorf("%s: %d %q", args, code, sh.stderr)
		}
		s.Create("foo")
	}
}

func TestFollowUntil(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	s.Append("foo", "one")
	sh.want(ExitOK, "one\n", "", "tail", "foo", "-f", "-o", "raw", "--until", "2026-01-02")
}

// TestFollowIsExact prints each line once while connections break.
func TestFollowIsExact(t *testing.T) {
	const total = 500
	s := clienttest.New(t)
	sh := newShell(t, s)
	var want strings.Builder
	for i := range total {
		s.Append("foo", fmt.Sprint(i))
		fmt.Fprintln(&want, i)
	}
	s.CutAtRandom(60_000)
	sh.stdout.on = func(all string) {
		if strings.HasSuffix(all, fmt.Sprintf("\n%d\n", total-1)) {
			sh.stop(Stopped{syscall.SIGTERM})
		}
	}
	if code := sh.run("tail", "foo", "-f", "-n", "-1", "-o", "raw", "-q"); code != 143 || sh.stdout.String() != want.String() || sh.stderr.String() != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, sh.stdout, sh.stderr)
	}
}

func TestNoReconnect(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	sh.name = "deis-logger"
	s.Append("foo", "one")
	s.End("stopping")
	code := sh.run("tail", "foo", "-f", "--no-reconnect")
	if code != ExitNotReady || !strings.Contains(sh.stderr.String(), "to go on from here: deis-logger tail foo -f --resume 0123456789abcdef-1\n") || !strings.HasSuffix(sh.stderr.String(), "logger tail: the logger is stopping\n") {
		t.Errorf("%d %s", code, sh.stderr)
	}
}

// closed acts as a pipe that nobody reads.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestClosedPipeEndsIt(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "one")
	for _, args := range [][]string{{"tail", "foo", "-f"}, {"tail", "foo"}, {"apps"}, {"completion", "bash"}} {
		stderr := &printed{}
		code := Run(t.Context(), &System{Stdout: closed{}, Stderr: stderr, Env: func(name string) string { return map[string]string{"LOGGER_URL": s.URL}[name] }}, args[0], args[1:])
		if code != ExitOK || stderr.String() != "" {
			t.Errorf("%q: %d %s", args, code, stderr)
		}
	}
}

func TestGapNotices(t *testing.T) {
	for want, r := range map[string]client.Record{
		"--- 1 line is missing here: this reader was too slow for them": {Count: 1, Exact: true, Reason: "slow"},
		"--- at least 3 lines are missing here: the log was deleted":    {Count: 3, Reason: "deleted"},
		"--- some lines are missing here: the storage lost them":        {Reason: "lost"},
		"--- 2 lines are missing here: a reason of a newer server":      {Count: 2, Exact: true, Reason: "a reason of a newer\x1b[2J server"},
	} {
		if got := gapNotice(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestHelpNamesEveryFlag keeps the help, which is written by hand, complete.
func TestHelpNamesEveryFlag(t *testing.T) {
	sh := newShell(t, nil)
	for _, c := range commands() {
		for _, flag := range []string{"--help", "-h"} {
			if code := sh.run(c.name, flag); code != ExitOK || sh.stdout.String() != c.help || sh.stderr.String() != "" {
				t.Errorf("%s %s: %d %s", c.name, flag, code, sh.stderr)
			}
		}
		c.flags().VisitAll(func(f *pflag.Flag) {
			want := "  --" + f.Name
			if f.Shorthand != "" {
				want = "  -" + f.Shorthand + ", --" + f.Name
			}
			if !strings.Contains(c.help, want) {
				t.Errorf("%s --help does not tell of%s", c.name, want)
			}
			if _, ok := foreignFlags[f.Name]; ok && c.name == "tail" {
				t.Errorf("--%s is foreign and ours", f.Name)
			}
		})
		scanner := bufio.NewScanner(strings.NewReader(c.help))
		for scanner.Scan() {
			if n := len([]rune(scanner.Text())); n > 100 {
				t.Errorf("%s --help: a line of %d columns: %s", c.name, n, scanner.Text())
			}
		}
	}
	// The flags that kubectl logs has for one pod's lines.
	for _, flag := range []string{
		"-f,", "--follow", "--tail", "--since ", "--since-time", "--timestamps", "--limit-bytes", "--prefix", "-c,", "--container", "-p,", "--previous", "-l,", "--selector",
	} {
		if !strings.Contains(tailHelp, flag) {
			t.Errorf("kubectl's %s is not in the help", flag)
		}
	}
}

func TestMoments(t *testing.T) {
	zone := time.FixedZone("", 3600)
	for text, want := range map[string]string{
		"90s": "1m30s", "2d": "48h0m0s", "1w": "168h0m0s", "1w1d": "192h0m0s", "1767366245": "2026-01-02T15:04:05Z", "1767366245.25": "2026-01-02T15:04:05.25Z", "1d1h1m": "25h1m0s", "0s": "0s", "0": "0s", "0d": "0s", "1.5h": "1h30m0s",
		"2026-01-02T03:04:05Z": "2026-01-02T03:04:05Z", "2026-01-02t03:04:05.678-07:00": "2026-01-02T03:04:05.678-07:00",
		"2026-01-02T03:04:05": "2026-01-02T03:04:05+01:00", "2026-01-02 03:04": "2026-01-02T03:04:00+01:00", "2026-01-02": "2026-01-02T00:00:00+01:00",
		"": "", "5": "", "x": "", "-5m": "", "2026-13-02": "", "d": "", "1d1": "", "99999d": "", "2h later": "", "9999999h": "",
	} {
		m, err := parseMoment(text, zone)
		if (err == nil) != (want != "") || err == nil && m.String() != want {
			t.Errorf("%q: %v, %v, want %q", text, m, err, want)
		}
	}
}

func FuzzMoment(f *testing.F) {
	for _, seed := range []string{"10m", "2d3h", "1w", "1767366245", "2562047h", "999w9999d2562047h", "2026-01-02T03:04:05Z", "2026-01-02", "9999d9999h", "-1s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMoment(text, time.UTC)
		if err == nil && (m.IsZero() || strings.HasPrefix(m.String(), "-")) {
			t.Errorf("%q is %v", text, m)
		}
	})
}

func TestNearest(t *testing.T) {
	words := []string{"tail", "apps", "delete", "follow", "timestamps"}
	for word, want := range map[string]string{"tial": "tail", "app": "apps", "del": "delete", "folow": "follow", "timestamp": "timestamps", "xyz": "", "": "", "TAIL": "tail", strings.Repeat("x", 500): ""} {
		if got := Nearest(word, words); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

// TestUnknownAppIsNotCalledKnown waits for an app over a connection that gives nothing at first.
func TestUnknownAppIsNotCalledKnown(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	s.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/tail") || r.URL.Query().Get("wait") == "false" {
			return false
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = fmt.Fprintln(w, `{"type":"heartbeat","cursor":"ffffffffffffffff-0"}`)
		_, _ = fmt.Fprintln(w, `{"type":"entry","cursor":"0123456789abcdef-1","source":"app","time":"2026-01-02T15:04:05Z","message":"first"}`)
		return true
	})
	sh.stdout.on = func(string) { sh.stop(Stopped{syscall.SIGINT}) }
	code := sh.run("tail", "foo", "-f")
	if notices := strings.Count(sh.stderr.String(), "yet"); code != 130 || !strings.Contains(sh.stdout.String(), "first") || notices != 1 {
		t.Errorf("%d %s %s", code, sh.stdout, sh.stderr)
	}
}
