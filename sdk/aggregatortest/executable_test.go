package aggregatortest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// pluginEnv makes the test binary a plugin of the kind that the variable names.
const pluginEnv = "AGGREGATORTEST_PLUGIN"

type settings struct {
	Word string `env:"TEST_WORD" default:"hello" doc:"a word"`
}

func servePlugin(kind string) {
	info := sdk.Info{Name: "reference", Version: "1"}
	if kind == "storage" {
		sdk.ServeStorage(info, func(context.Context, settings, sdk.Host) (sdk.Storage, error) { return nil, errors.New("no") })
		return
	}
	sdk.ServeAggregator(info, func(context.Context, settings, sdk.Host) (sdk.Aggregator, error) {
		return &reference{queue: newQueue()}, nil
	})
}

func install(t *testing.T, kind, line string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "logger-aggregator-reference")
	script := fmt.Sprintf("#!/bin/sh\n%s\nexport GORACE=atexit_sleep_ms=0\n%s=%s exec '%s'\n", line, pluginEnv, kind, self)
	testrun.WriteProgram(t, path, script)
	return path
}

// TestCheckWithoutTransport: checks that need a transport are left out by name, not silently.
// plugins/nsq runs the suite with a transport, against real executables.
func TestCheckWithoutTransport(t *testing.T) {
	t.Parallel() // it waits
	outcomes := map[plugintest.Outcome][]string{}
	observe := func(r plugintest.Result) {
		outcomes[r.Outcome] = append(outcomes[r.Outcome], r.Check)
		if r.Outcome == plugintest.OptedOut && r.Check != "Metrics" && !strings.Contains(strings.Join(r.Lines, ""), "transport") {
			t.Errorf("%s is left out: %q", r.Check, r.Lines)
		}
	}
	ok, err := Check(t.Context(), install(t, "aggregator", ""), nil, nil, observe)
	if !ok || err != nil || len(outcomes[plugintest.Passed]) != 4 || len(outcomes[plugintest.OptedOut]) != 22 {
		t.Errorf("%t, %v, %v", ok, err, outcomes)
	}
	clear(outcomes)
	ok, err = Check(t.Context(), install(t, "aggregator", "unset "+sdk.LifelineEnv), nil, nil, observe)
	if ok || err != nil || len(outcomes[plugintest.Failed]) != 1 || outcomes[plugintest.Failed][0] != "Lifeline" {
		t.Errorf("a plugin that outlives its host: %t, %v, %v", ok, err, outcomes)
	}
	if ok, err := Check(t.Context(), install(t, "storage", ""), nil, nil, observe); ok || !errors.Is(err, sdk.ErrInvalid) {
		t.Errorf("a storage: %t, %v", ok, err)
	}
	q := newQueue()
	_ = q.Publish([]byte("somebody's"))
	if ok, err := Check(t.Context(), install(t, "aggregator", ""), nil, q, observe); ok || !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), "holds 1 messages") {
		t.Errorf("a transport that is not empty: %t, %v", ok, err)
	}
}
