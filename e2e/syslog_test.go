package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

// collectorsDir is the folder where tools/install-collectors.sh puts rsyslog and syslog-ng.
const collectorsDir = "../build/collectors/usr"

// blocksOf returns the indented blocks below a heading of docs/collectors.md.
func blocksOf(t *testing.T, heading string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/collectors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/collectors.md has no %q", heading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	for _, block := range regexp.MustCompile(`(?m)(?:^    .*\n)+`).FindAllString(part, -1) {
		blocks = append(blocks, regexp.MustCompile(`(?m)^    `).ReplaceAllString(block, ""))
	}
	return blocks
}

// runCollector starts a program, which runs until the test ends.
func runCollector(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: tools/install-collectors.sh installs it", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the whole process group
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", cmd.Path, said.String())
		}
	})
}

// TestSyslogOfTheDocs runs syslog-ng and rsyslog with the configurations of docs/collectors.md.
// Lines that programs write to a file come back whole and in order, with their app; long ones too.
func TestSyslogOfTheDocs(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, dir string, inPlace *strings.Replacer){
		"syslog-ng": func(t *testing.T, dir string, inPlace *strings.Replacer) {
			t.Helper()
			blocks, file := blocksOf(t, "syslog-ng"), filepath.Join(dir, "syslog-ng.conf")
			writeFile(t, file, inPlace.Replace(blocks[0]), 0o600)
			cmd := exec.Command(collectorsDir+"/sbin/syslog-ng", "-F", "--no-caps", "-f", file, "-R", filepath.Join(dir, "persist"),
				"-p", filepath.Join(dir, "pid"), "-c", filepath.Join(dir, "ctl"), "--module-path", onlyMatch(t, collectorsDir+"/lib/syslog-ng/[0-9]*"))
			library, err := filepath.Abs(collectorsDir + "/lib/syslog-ng")
			if err != nil {
				t.Fatal(err)
			}
			cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+library)
			runCollector(t, cmd)
		},
		"rsyslog": func(t *testing.T, dir string, inPlace *strings.Replacer) {
			t.Helper()
			blocks, file := blocksOf(t, "rsyslog"), filepath.Join(dir, "rsyslog.conf")
			writeFile(t, filepath.Join(dir, "to-nsqd"), inPlace.Replace(blocks[1]), 0o700)
			writeFile(t, file, fmt.Sprintf("global(workDirectory=%q)\n", dir)+inPlace.Replace(blocks[0]), 0o600)
			runCollector(t, exec.Command(collectorsDir+"/sbin/rsyslogd", "-n", "-f", file, "-i", filepath.Join(dir, "pid"),
				"-M", onlyMatch(t, collectorsDir+"/lib/*/rsyslog")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv())
			log := filepath.Join(dir, "foo.log")
			writeFile(t, log, "", 0o600)
			start(t, dir, strings.NewReplacer("deis-nsqd.deis:4151", queue.HTTPAddr(), "/var/log/foo.log", log, "/usr/local/bin/to-nsqd", filepath.Join(dir, "to-nsqd")))
			lines := []string{`plain`, `a "quote", a \ and a	tab`, `{"level":"info","msg":"json"}`, `<14>Oct 18 20:29:38 host foo: no header`, `größer ✓`, strings.Repeat(`long "line" `, 5000)[:60_000]}
			f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			if _, err := f.WriteString(strings.Join(lines, "\n") + "\n"); err != nil {
				t.Fatal(err)
			}
			m := l.Settled(len(lines))
			got := regexp.MustCompile(`(?m)^\S+ foo\[web\.\]: `).ReplaceAllString(l.Lines("foo"), "")
			if want := strings.Join(lines, "\n") + "\n"; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if m[`logger_messages_time_total{form="rfc3339"}`] != float64(len(lines)) {
				t.Errorf("%v times are as RFC 3339", m[`logger_messages_time_total{form="rfc3339"}`])
			}
		})
	}
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// onlyMatch returns the folder that the pattern matches.
func onlyMatch(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s matches %q, %v: tools/install-collectors.sh installs it", pattern, found, err)
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}
