package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/internal/testwait"
)

const tutorial = "../docs/plugins/tutorial.md"

// tutorialStep holds a fenced block of a tutorial: a file to write, a quotation of a file, commands
// to run, or what the commands before it have to print.
type tutorialStep struct{ file, quotation, commands, output string }

// blockPattern matches a fenced block with its language. If the line before it is a file's name and
// a colon, it matches that line too.
var blockPattern = regexp.MustCompile("(?ms)(?:^(From )?`([a-z_.]+)`:\n\n)?^```([a-z]+)\n(.*?)^```$")

func tutorialSteps(t *testing.T, document string) (steps []tutorialStep, files map[string]string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	for _, m := range blockPattern.FindAllStringSubmatch(string(text), -1) {
		from, name, language, body := m[1], m[2], m[3], m[4]
		switch {
		case from != "" && language == "go":
			steps = append(steps, tutorialStep{file: name, quotation: body})
		case language == "go" && name != "":
			steps, files[name] = append(steps, tutorialStep{file: name}), body
		case language == "sh" && name == "":
			steps = append(steps, tutorialStep{commands: body})
		case language == "text" && name == "":
			steps = append(steps, tutorialStep{output: body})
		default:
			t.Fatalf("a block of %q called %q is neither a file, nor commands, nor output", language, name)
		}
	}
	return steps, files
}

// TestTutorialIsTheExample: the files of a tutorial are the files of its example.
func TestTutorialIsTheExample(t *testing.T) {
	for document, example := range map[string]string{tutorial: "storage-sqlite", tutorialOfAggregators: "aggregator-syslog"} {
		_, files := tutorialSteps(t, document)
		names, err := filepath.Glob(filepath.Join(examples, example, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text, has := files[filepath.Base(name)]
			delete(files, filepath.Base(name))
			if !has && strings.HasSuffix(name, "_test.go") {
				continue // an example may have more tests
			}
			if text != string(source) {
				t.Errorf("%s differs from that of %s", name, document)
			}
		}
		if len(files) > 0 {
			t.Errorf("%s has files that %s has not: %v", document, example, files)
		}
	}
}

// TestTutorial follows the tutorial in an empty folder outside of the repository, including the
// suites of storage-sqlite.
func TestTutorial(t *testing.T) {
	t.Parallel() // it mostly waits
	dir := pluginDir(t)
	followTutorial(t, tutorial, dir, strings.NewReplacer())
	if _, err := os.Stat(filepath.Join(dir, "logs.db")); err != nil {
		t.Errorf("the lines are not in the database: %v", err)
	}
}

// followTutorial does in the folder what the document says. First addresses replaces the document's
// addresses, which may be in use on this machine.
func followTutorial(t *testing.T, document, dir string, addresses *strings.Replacer) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "LOGGER="+root, "PATH="+filepath.Dir(harness.Binary("logger"))+":"+os.Getenv("PATH"),
		"CGO_ENABLED=0", "GOWORK=off", "LOGGER_RUN_DIR="+harness.RunDir(t))
	var shell strings.Builder // the export lines so far
	run := func(commands string) (out string) {
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", shell.String()+commands)
		cmd.Dir, cmd.Env = dir, env
		b, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", commands, err, b)
		}
		for line := range strings.Lines(commands) {
			if strings.HasPrefix(line, "export ") {
				shell.WriteString(line)
			}
		}
		return string(b)
	}
	steps, files := tutorialSteps(t, document)
	compared := false
	var dev *devHost
	for i, step := range steps {
		step.commands = addresses.Replace(step.commands)
		if dev != nil {
			step.commands = dev.atItsAddresses(step.commands)
		}
		switch {
		case step.quotation != "":
		case step.file != "":
			if err := os.WriteFile(filepath.Join(dir, step.file), []byte(files[step.file]), 0o600); err != nil {
				t.Fatal(err)
			}
		case strings.HasSuffix(step.commands, "logger dev\n"):
			commands := strings.TrimSuffix(step.commands, "logger dev\n") + "exec logger dev"
			dev = startDev(t, dir, shell.String()+commands, env)
		case step.commands != "" && i+1 < len(steps) && steps[i+1].output != "":
			want := addresses.Replace(steps[i+1].output)
			testwait.NoError(t, func() error { // a reader would wait a moment too
				if got := run(step.commands); got != want {
					return fmt.Errorf("%sprints %q, the tutorial says %q", step.commands, got, want)
				}
				return nil
			})
			compared = true
		case step.commands != "":
			began := time.Now()
			t.Logf("%s%s(%s)", step.commands, run(step.commands), time.Since(began).Round(time.Millisecond))
		}
	}
	if dev == nil || !compared {
		t.Fatal("the tutorial runs no host, or reads nothing from it")
	}
}

// devHost holds the addresses of a running `logger dev`: where to publish lines, and where to read
// them.
type devHost struct{ publish, logs string }

// devAddresses matches in dev's output the address to publish at, if there is a queue, and the one
// to read at.
var devAddresses = regexp.MustCompile(`(?s)(?:'(http://\S+/pub\?topic=\w+)'.*)?'(http://\S+)/logs/hello\?`)

// startDev runs the commands, which end in `logger dev`, on free ports.
func startDev(t *testing.T, dir, commands string, env []string) *devHost {
	t.Helper()
	cmd := exec.Command("sh", "-euc", commands)
	stdout, stderr := &testrun.Output{}, &testrun.Output{}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, stdout, stderr
	runDir := harness.RunDir(t)
	cmd.Env = append(cmd.Env, env...)
	cmd.Env = append(cmd.Env, "LOGGER_LISTEN_ADDR=127.0.0.1:0", "LOGGER_DEV_NSQD_TCP_ADDR=127.0.0.1:0",
		"LOGGER_DEV_NSQD_HTTP_ADDR=127.0.0.1:0", "LOGGER_RUN_DIR="+runDir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := harness.Attach(t, cmd, runDir)
	l.Until("both plugins are up", func() bool { return strings.Count(stderr.String(), "plugin is up") == 2 })
	if strings.Contains(commands, "AGGREGATOR_TYPE=syslog") { // up does not mean that it listens
		l.Until("the aggregator listens", func() bool { return strings.Count(stderr.String(), "listening") >= 2 })
	}
	m := devAddresses.FindStringSubmatch(stdout.String())
	if m == nil {
		t.Fatalf("dev does not print its addresses: %s%s", stdout, stderr)
	}
	return &devHost{publish: m[1], logs: m[2] + "/logs/hello"}
}

// atItsAddresses replaces the default addresses in the commands by those of this host.
func (d *devHost) atItsAddresses(commands string) string {
	return strings.NewReplacer(
		"http://127.0.0.1:4151/pub?topic=logs", d.publish, "http://127.0.0.1:8088/logs/hello", d.logs,
	).Replace(commands)
}

// TestTutorialIsReadable: the tests replace each default address in the tutorials, so that no
// command reaches another logger on this machine.
func TestTutorialIsReadable(t *testing.T) {
	for document, addresses := range map[string]*strings.Replacer{
		tutorial: strings.NewReplacer(), tutorialPostgres: postgresAt("host:1"), tutorialOfAggregators: syslogAt("host", "1"),
	} {
		steps, _ := tutorialSteps(t, document)
		d := &devHost{publish: "A", logs: "B"}
		for _, step := range steps {
			rest := strings.ReplaceAll(d.atItsAddresses(addresses.Replace(step.commands)), "127.0.0.1:0", "any port")
			if strings.Contains(rest, "127.0.0.1") || strings.Contains(rest, "54321") {
				t.Errorf("%s: an address is left in %s", document, rest)
			}
		}
		if len(steps) < 8 {
			t.Errorf("%s: %d blocks are no tutorial", document, len(steps))
		}
	}
}
