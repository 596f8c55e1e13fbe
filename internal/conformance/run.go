package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// suite holds a command that runs suites of a plugin: go test with the tests of pkg, or "logger
// plugins check" with a program that build makes.
type suite struct {
	dir            string
	test, pkg      string
	build, program string
}

func (s suite) String() string {
	if s.program != "" {
		return "logger plugins check " + filepath.Join(s.dir, s.program)
	}
	return "go test -run '" + s.test + "' " + filepath.Join(s.dir, s.pkg)
}

// run runs the command and adds the outcomes of its checks. A failed check is no error. It is an
// error if the output has no check.
func (s suite) run(ctx context.Context, to outcomes) error {
	var cmd *exec.Cmd
	parse := parseTests
	if s.program != "" {
		build := exec.CommandContext(ctx, "sh", "-ec", s.build)
		build.Dir, build.Stdout, build.Stderr = s.dir, os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("%s: %w", s.build, err)
		}
		logger, err := filepath.Abs("bin/logger")
		if err != nil {
			return err
		}
		cmd, parse = exec.CommandContext(ctx, logger, "plugins", "check", "-o", "json", "./"+s.program), parseCheck
	} else {
		cmd = exec.CommandContext(ctx, "go", "test", "-json", "-count", "1", "-timeout", "30m", "-run", s.test, s.pkg)
	}
	cmd.Dir, cmd.Stderr = s.dir, os.Stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	before := to.count()
	if err := parse(bytes.NewReader(out), to); err != nil {
		return err
	}
	if to.count() == before {
		return fmt.Errorf("no check ran: %w: %s", err, tail(out))
	}
	return nil
}

func tail(out []byte) string { return string(out[max(0, len(out)-2000):]) }

// scanner reads lines of up to 1 MiB.
func scanner(out io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	return lines
}

// leftOut begins the reason why a check was left out.
const leftOut = "left out: "

// printed matches a line that a test printed after its place in the source.
var printed = regexp.MustCompile(`^\s+\w+\.go:\d+: (.*)\n`)

// parseTests reads the output of go test -json. A check is a subtest without subtests. The name of
// its test tells the mode.
func parseTests(out io.Reader, to outcomes) error {
	type event struct{ Action, Test, Output string }
	var ended []event
	reasons := map[string]string{}
	parents := map[string]bool{}
	for lines := scanner(out); lines.Scan(); {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Test == "" {
			continue // go prints what is no JSON when a package does not build
		}
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			parents[e.Test[:i]] = true
		}
		switch e.Action {
		case "output":
			if m := printed.FindStringSubmatch(e.Output); m != nil {
				reasons[e.Test] = strings.TrimPrefix(m[1], leftOut)
			}
		case "pass", "fail", "skip":
			ended = append(ended, e)
		}
	}
	// Suites run side by side. One after the other, their checks are in the suites' order.
	slices.SortStableFunc(ended, func(a, b event) int {
		suiteOfA, _, _ := strings.Cut(a.Test, "/")
		suiteOfB, _, _ := strings.Cut(b.Test, "/")
		return strings.Compare(suiteOfA, suiteOfB)
	})
	for _, e := range ended {
		test, _, inside := strings.Cut(e.Test, "/")
		if parents[e.Test] || !inside {
			continue
		}
		m, ok := modes[test]
		if !ok {
			return fmt.Errorf("%s: modes does not have this test", test)
		}
		name := e.Test[strings.LastIndexByte(e.Test, '/')+1:]
		to.add(name, m, outcome{failed: e.Action == "fail", left: e.Action == "skip", reason: reasons[e.Test]})
	}
	return nil
}

// parseCheck reads the output of "logger plugins check -o json".
func parseCheck(out io.Reader, to outcomes) error {
	for lines := scanner(out); lines.Scan(); {
		var line struct {
			Check, Outcome string
			Lines          []string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return err
		}
		o := outcome{failed: line.Outcome == "fail", left: line.Outcome == "opt-out"}
		if o.left {
			o.reason = strings.TrimPrefix(strings.Join(line.Lines, " "), leftOut)
		}
		to.add(line.Check, program, o)
	}
	return nil
}
