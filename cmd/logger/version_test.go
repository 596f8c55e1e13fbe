package main

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/deis/logger/cmd/logger/internal/cli"
)

// stamp sets the program's stamps until the end of the test.
func stamp(t *testing.T, b built) {
	t.Helper()
	before := []string{version, commit, date}
	t.Cleanup(func() { version, commit, date = before[0], before[1], before[2] })
	version, commit, date = b.Version, b.Commit, b.Date
}

// TestVersionOfABuild has programs that were stamped, built by "go build", or neither.
func TestVersionOfABuild(t *testing.T) {
	of := func(pairs ...string) *debug.BuildInfo {
		info := &debug.BuildInfo{}
		for i := 0; i < len(pairs); i += 2 {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: pairs[i], Value: pairs[i+1]})
		}
		return info
	}
	git := []string{"vcs", "git", "vcs.revision", "b2", "vcs.time", "2026-01-02T03:04:05Z", "vcs.modified"}
	program := " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	for name, tc := range map[string]struct {
		stamps built
		info   *debug.BuildInfo
		want   string
	}{
		"stamped":          {built{Version: "1.2.3", Commit: "a1", Date: "2026-02-03T04:05:06Z"}, of(append(git, "true")...), "logger 1.2.3 a1 2026-02-03T04:05:06Z"},
		"go build":         {built{Version: "dev"}, of(append(git, "false")...), "logger dev b2 2026-01-02T03:04:05Z"},
		"edited":           {built{Version: "dev"}, of(append(git, "true")...), "logger dev b2-dirty 2026-01-02T03:04:05Z"},
		"without Git":      {built{Version: "dev"}, of("GOARCH", "amd64"), "logger dev"},
		"without a record": {built{Version: "dev"}, nil, "logger dev"},
	} {
		t.Run(name, func(t *testing.T) {
			stamp(t, tc.stamps)
			if got := thisBuild(tc.info).String(); got != tc.want+program {
				t.Errorf("got %q, want %q", got, tc.want+program)
			}
		})
	}
}

func TestVersionThatWasInstalled(t *testing.T) {
	of := func(version string) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}}
	}
	for _, tc := range []struct {
		stamp string
		info  *debug.BuildInfo
		want  string
	}{
		{"dev", of("v1.2.3"), "v1.2.3"},
		{"dev", of("v0.1.0-rc.1"), "v0.1.0-rc.1"},
		{"dev", of("(devel)"), "dev"},
		{"dev", of("v0.0.0-20260102030405-0123456789ab+dirty"), "dev"},
		{"dev", nil, "dev"},
		{"v2.0.0", of("v1.2.3"), "v2.0.0"},
	} {
		stamp(t, built{Version: tc.stamp})
		if setVersion(tc.info); version != tc.want {
			t.Errorf("stamp %q, %+v: got %q, want %q", tc.stamp, tc.info, version, tc.want)
		}
	}
}

func TestVersionAsJSON(t *testing.T) {
	stamp(t, built{Version: "1.2.3", Commit: "a1", Date: "2026-02-03T04:05:06Z"})
	code, out, stderr := capture(t, "version", "-o", "json")
	var got built
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != cli.ExitOK || stderr != "" || got != thisBuild(nil) {
		t.Errorf("%d, %q, %q, %v", code, out, stderr, err)
	}
}
