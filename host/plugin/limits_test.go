package plugin

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func TestOpenFilesAreLimited(t *testing.T) {
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
	opts.Limits = Limits{OpenFiles: 64}
	s, _ := supervise(t, opts)
	wait(t, s)
	n, err := strconv.Atoi(ask(t, s, "files"))
	if err != nil || n < 10 || n > 64 {
		t.Errorf("the plugin could open %d files (%v), want less than 64", n, err)
	}
	opts = testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
	s, _ = supervise(t, opts)
	wait(t, s)
	if n, err := strconv.Atoi(ask(t, s, "files")); err != nil || n < 200 {
		t.Errorf("without a limit it could open %d files (%v)", n, err)
	}
}

func TestMemoryIsLimited(t *testing.T) {
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
	opts.Limits = Limits{Memory: 128 << 20}
	opts.CheckTimeout = 10 * time.Second // it must end because of its memory, not of a timeout
	opts.BackoffMin, opts.BackoffMax = time.Hour, time.Hour
	s, _ := supervise(t, opts)
	inst := wait(t, s)
	if got := ask(t, s, "environment"); !strings.Contains(got, "GOMEMLIMIT="+strconv.Itoa(112<<20)) {
		t.Errorf("the plugin does not know: %q", got)
	}
	if got := ask(t, s, "memory-8"); got != "8" || isGone(inst) {
		t.Errorf("8 MiB are too much: %q", got)
	}
	_ = NewStorage(s).Append(t.Context(), toyBatch("take-200"))
	testwait.Within(t, 20*time.Second, "it is ended", func() bool { return s.Status().State == BackingOff })
	if reason := s.Status().Reason; !strings.Contains(reason, "LOGGER_PLUGIN_MAX_MEMORY") {
		t.Errorf("reason %q", reason)
	}
	testwait.Within(t, 20*time.Second, "the process is gone", func() bool { return isGone(inst) })
}

func TestLimitsThatAreNoneAreRefused(t *testing.T) {
	for _, l := range []Limits{{OpenFiles: 3}, {OpenFiles: -1}, {Memory: 1 << 20}, {Memory: -1}} {
		if err := l.Check(); err == nil || !strings.Contains(err.Error(), "LOGGER_PLUGIN_MAX_") {
			t.Errorf("%+v: %v", l, err)
		}
	}
	for _, l := range []Limits{{}, {OpenFiles: 32}, {Memory: 16 << 20}} {
		if err := l.Check(); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// TestProtocolsAreNegotiated: a host of the next version still accepts a plugin of this one. For a
// plugin that is too old or too new, it says what to do.
func TestProtocolsAreNegotiated(t *testing.T) {
	next := append([]int{sdk.ProtocolVersion + 1}, sdk.Protocols()...)
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
	opts.Protocols = next
	s, _ := supervise(t, opts)
	if inst := wait(t, s); inst.Protocol != sdk.ProtocolVersion || s.Status().Protocol != sdk.ProtocolVersion {
		t.Errorf("they speak version %d, status %d", inst.Protocol, s.Status().Protocol)
	}
	for name, tc := range map[string]struct {
		ours []int
		want string
	}{
		"too old": {[]int{3, 2}, "the plugin speaks version 1 of the plugin protocol and this logger 3 and 2: install a newer version of the plugin"},
		"too new": {[]int{0}, "the plugin speaks version 1 of the plugin protocol and this logger 0: install a newer logger, or an older version of the plugin"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
			opts.Protocols = tc.ours
			opts.BackoffMin, opts.BackoffMax = time.Hour, time.Hour
			s, _ := supervise(t, opts)
			testwait.Within(t, 20*time.Second, "backing off", func() bool { return s.Status().State == BackingOff })
			if got := s.Status().Reason; got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestDescribeOpensNothing(t *testing.T) {
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "broken-open"), nil)
	d, protocol, err := Describe(t.Context(), opts)
	if err != nil || d.Name != "toy" || len(d.Settings) != 3 || protocol != sdk.ProtocolVersion {
		t.Errorf("got %+v, %d, %v", d, protocol, err)
	}
	opts = testOptions(t, install(t, sdk.StorageKind, "toy", "silent"), nil)
	opts.StartTimeout = 200 * time.Millisecond
	began := time.Now()
	if _, _, err := Describe(t.Context(), opts); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a silent plugin: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
