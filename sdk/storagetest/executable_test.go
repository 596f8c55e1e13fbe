package storagetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// pluginEnv makes the test binary a plugin that serves the reference, with a fault.
const pluginEnv = "STORAGETEST_PLUGIN"

type pluginSettings struct {
	Lines int    `env:"NUMBER_OF_LINES" default:"1000" min:"1" doc:"entries kept of each app"`
	Word  string `env:"TEST_WORD" doc:"a word"`

	Retention sdk.Duration `env:"LOGGER_APP_RETENTION" default:"720h" doc:"an app that got no line for so long is forgotten"`
}

type linelessSettings struct {
	Word string `env:"TEST_WORD" doc:"a word"`
}

type undocumentedSettings struct {
	Lines int `env:"NUMBER_OF_LINES" default:"1000" min:"1"`
}

func servePlugin(f fault) {
	info := sdk.Info{Name: "reference", Version: "1"}
	open := func(_ context.Context, s pluginSettings, _ sdk.Host) (sdk.Storage, error) {
		r := newReference(s.Lines, f)
		if f != "lies after a crash" {
			r.epochs = uint64(time.Now().UnixNano())
		}
		if f == "in use" {
			return r, r.Append(context.Background(), one(sdk.BatchID{Writer: "other", Sequence: 1}, "theirs", numbered(1, 3)))
		}
		return r, nil
	}
	switch f {
	case "no number of lines":
		sdk.ServeStorage(info, func(context.Context, linelessSettings, sdk.Host) (sdk.Storage, error) {
			return newReference(1000, ""), nil
		})
	case "undocumented":
		sdk.ServeStorage(info, func(context.Context, undocumentedSettings, sdk.Host) (sdk.Storage, error) {
			return newReference(1000, ""), nil
		})
	case "other name":
		info.Name = "other"
		sdk.ServeStorage(info, open)
	case "bad metrics":
		sdk.ServeStorage(info, func(context.Context, pluginSettings, sdk.Host) (sdk.Storage, error) {
			return badMetrics{newReference(1000, "")}, nil
		})
	case "an aggregator":
		sdk.ServeAggregator(info, func(context.Context, pluginSettings, sdk.Host) (sdk.Aggregator, error) { return nil, errors.New("no") })
	case "exits":
		fmt.Fprintln(os.Stderr, "cannot go on")
		os.Exit(3)
	default:
		if of, ok := strings.CutPrefix(string(f), "brittle "); ok {
			open = func(_ context.Context, s pluginSettings, _ sdk.Host) (sdk.Storage, error) {
				return newBrittle(fault(of), s.Word, nil), nil
			}
		}
		sdk.ServeStorage(info, open)
	}
}

// badMetrics exposes a metric twice.
type badMetrics struct{ *reference }

func (badMetrics) Metrics(context.Context) ([]byte, error) { return []byte("m 1\nm 1\n"), nil }

// programDir is the folder of program, removed after the tests.
var programDir string

// program builds this package's tests without the race detector, which would make each of a
// plugin's many starts several times slower. The tests in this process look for races.
var program = sync.OnceValues(func() (path string, err error) {
	if programDir, err = os.MkdirTemp("", "storagetest"); err != nil {
		return "", err
	}
	path = filepath.Join(programDir, "plugin")
	cmd := exec.CommandContext(context.Background(), "go", "test", "-c", "-trimpath", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as `make binaries`, so that its packages are built already
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// install makes an executable that runs the tests' binary as a plugin with the fault: a host passes
// no environment variable on.
func install(t *testing.T, f fault) string {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "logger-storage-reference")
	unset := ""
	if f == "outlives its host" {
		unset = "unset " + sdk.LifelineEnv + "\n"
	}
	script := fmt.Sprintf("#!/bin/sh\n%s%s='%s' exec '%s'\n", unset, pluginEnv, f, binary)
	testrun.WriteProgram(t, path, script)
	return path
}

func TestRemoteReference(t *testing.T) {
	t.Parallel()
	RunRemote(t, func(_ *testing.T, lines int) sdk.Storage { return newReference(lines, "") })
}

func TestExecutableReference(t *testing.T) {
	t.Parallel()
	RunExecutable(t, install(t, fault(os.Getenv(faultEnv))), func(*testing.T) map[string]string {
		return map[string]string{"TEST_WORD": "hello"}
	})
}

// TestFaultsOfExecutablesAreFound breaks what only an executable can break.
func TestFaultsOfExecutablesAreFound(t *testing.T) {
	t.Parallel()
	for f, check := range map[fault]string{
		"no number of lines": "NumberOfLines",
		"undocumented":       "Describe",
		"other name":         "Describe",
		"an aggregator":      "Describe",
		"exits":              "Unconfigured",
		"outlives its host":  "Lifeline",
		"lies after a crash": "Restart",
		"bad metrics":        "Metrics",
		"stored twice":       "Retry",
	} {
		t.Run(string(f), func(t *testing.T) { finds(t, f, "TestExecutableReference", check) })
	}
}

// TestCheck runs the suite as a program does.
func TestCheck(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	last := "" // after this check, ctx ends
	outcomes := func(f fault, opts ...plugintest.Option) (ok bool, failed, left, warnings []string, err error) {
		ok, err = Check(ctx, install(t, f), nil, func(w string) { warnings = append(warnings, w) }, func(r plugintest.Result) {
			if r.Check == last {
				cancel()
			}
			switch r.Outcome {
			case plugintest.Failed:
				failed = append(failed, r.Check)
				if len(r.Lines) == 0 {
					t.Errorf("%s failed without a word", r.Check)
				}
			case plugintest.Passed:
			case plugintest.OptedOut:
				left = append(left, r.Check+": "+strings.Join(r.Lines, ""))
			}
		}, opts...)
		return ok, failed, left, warnings, err
	}
	ok, failed, left, warnings, err := outcomes("in use", plugintest.Without("AppNames", "it keeps no odd names"))
	if !ok || err != nil || len(failed) > 0 || len(warnings) != 1 ||
		!slices.Equal(left, []string{
			"Metrics: the plugin does not announce CAPABILITY_METRICS", "AppNames: it keeps no odd names",
			"LoweredLines: left out: what is stored ends with the process",
		}) {
		t.Errorf("one in use: %t, %v, failed: %q, left out: %q, warnings: %q", ok, err, failed, left, warnings)
	}
	if ok, failed, _, _, err := outcomes("exits"); ok || err == nil || !strings.Contains(err.Error(), "cannot go on") || len(failed) > 0 {
		t.Errorf("one that exits: %t, %v, failed: %q", ok, err, failed)
	}
	if ok, _, _, _, err := outcomes("an aggregator"); ok || !errors.Is(err, sdk.ErrInvalid) {
		t.Errorf("an aggregator: %t, %v", ok, err)
	}
	last = "Delete"
	ok, failed, _, _, err = outcomes("limit off by one")
	if ok || err != nil || !slices.Contains(failed, "Limits") || slices.Contains(failed, "Positions") || slices.Contains(failed, "Before") {
		t.Errorf("a broken plugin: %t, %v, failed: %q", ok, err, failed)
	}
	if !slices.Contains(failed, "FollowMany") {
		t.Errorf("checks that did not run are not reported as failed: %q", failed)
	}
}

func TestPrivateStorageCleansUp(t *testing.T) {
	t.Parallel()
	r := newReference(100, "")
	ok, err := plugintest.Report(t.Context(), checks(true, &waits{}, func(t plugintest.T, lines int) sdk.Storage {
		r.lines = lines
		return private(t, r, &waits{})
	}), func(result plugintest.Result) {
		if result.Outcome != plugintest.Passed && result.Check != "LoweredLines" && result.Check != "Check" {
			t.Errorf("%s: %q", result.Check, result.Lines)
		}
	})
	if !ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	if apps, _ := r.Apps(t.Context(), "", 0); len(apps) > 0 {
		t.Errorf("left behind: %+v", apps)
	}
}
