package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func TestProcessors(t *testing.T) {
	for all, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 64: 32} {
		if got := processors(all); got != want {
			t.Errorf("%d of %d, want %d", got, all, want)
		}
	}
	for _, set := range []string{"", "3"} {
		t.Run(set, func(t *testing.T) {
			want := fmt.Sprint("GOMAXPROCS=", processors(runtime.GOMAXPROCS(0)))
			if set != "" {
				t.Setenv("GOMAXPROCS", set)
				want = "GOMAXPROCS=" + set
			}
			s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil))
			wait(t, s)
			if got := strings.Split(ask(t, s, "environment"), "\x00"); !slices.Contains(got, want) {
				t.Errorf("want %s in %q", want, got)
			}
		})
	}
}

func TestPluginGetsWhatItDeclaredAndNoMore(t *testing.T) {
	t.Setenv("SOMEBODY_ELSES_SECRET", "hush")
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), map[string]string{
		"TEST_WORD": "bonjour", "TEST_TOKEN": "hunter2", "OTHER": "x",
	})
	s, _ := supervise(t, opts)
	inst := wait(t, s)
	if got, want := ask(t, s, "settings"), "{Word:bonjour Count:1 Token:hunter2}"; got != want {
		t.Errorf("settings %s, want %s", got, want)
	}
	if got := ask(t, s, "state"); got != opts.StateDir {
		t.Errorf("state folder %q, want %q", got, opts.StateDir)
	}
	for _, line := range strings.Split(ask(t, s, "environment"), "\x00") {
		name, _, _ := strings.Cut(line, "=")
		allowed := name == modeEnv || name == "GORACE" || name == "PWD" || name == "_" || name == "SHLVL" || name == "OLDPWD" || // the script's
			name == sdk.LifelineEnv || name == sdk.Handshake().MagicCookieKey || strings.HasPrefix(name, "PLUGIN_")
		for _, ok := range sdk.Inherited() {
			allowed = allowed || name == ok
		}
		if !allowed {
			t.Errorf("the plugin sees %s", name)
		}
	}
	for _, file := range []string{"environ", "cmdline"} {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(inst.PID), file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "hunter2") || strings.Contains(string(b), "hush") {
			t.Errorf("a secret is in the plugin's %s", file)
		}
	}
	if got := ask(t, s, "group"); got != "true" {
		t.Error("the plugin is in the host's process group: Ctrl-C reaches it")
	}
	if status := s.Status(); status.State != Ready || status.PID != inst.PID || status.Version != "9.9" {
		t.Errorf("status %+v", status)
	}
}

func TestKilledPluginIsReplaced(t *testing.T) {
	s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil))
	inst := wait(t, s)
	storage := NewStorage(s)
	failed := make(chan error, 1)
	go func() { failed <- storage.Append(t.Context(), toyBatch("hang")) }()
	testwait.Within(t, 20*time.Second, "the append is under way", func() bool { return ask(t, s, "hanging") == "1" })
	killed := time.Now()
	if err := syscall.Kill(inst.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, sdk.ErrUnavailable) {
		t.Errorf("the call under way: %v", err)
	}
	<-inst.Gone()
	next := wait(t, s)
	for next == inst {
		next = wait(t, s)
	}
	t.Logf("replaced after %s", time.Since(killed))
	if next.PID == inst.PID || s.Status().Restarts != 1 {
		t.Errorf("pid %d after %d, %d restarts", next.PID, inst.PID, s.Status().Restarts)
	}
	if err := storage.Append(t.Context(), toyBatch("fine")); err != nil {
		t.Errorf("append after the restart: %v", err)
	}
}

func TestCallsFailAtOnceWhileAway(t *testing.T) {
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "exits"), nil)
	opts.BackoffMin, opts.BackoffMax = time.Hour, time.Hour
	s, _ := supervise(t, opts)
	testwait.Within(t, 20*time.Second, "backing off", func() bool { return s.Status().State == BackingOff })
	_, err := NewStorage(s).Read(t.Context(), sdk.ReadOptions{App: "a"})
	if down := (*DownError)(nil); !errors.As(err, &down) || !errors.Is(err, sdk.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	want := "storage plugin toy is backing off: the plugin ended before it was ready: exit status 3; its last line: cannot open the pod bay doors"
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestFrozenPluginIsReplaced(t *testing.T) {
	s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil))
	inst := wait(t, s)
	if err := syscall.Kill(inst.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	testwait.Within(t, 20*time.Second, "another process", func() bool { i, err := s.Current(); return err == nil && i != inst })
	if lives(inst.PID) {
		t.Error("the frozen process still lives")
	}
}

func TestPluginThatNeverAnswersChecksIsReplaced(t *testing.T) {
	s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "stuck"), nil))
	testwait.Within(t, 20*time.Second, "a restart", func() bool { return s.Status().Restarts > 0 })
	if reason := s.Status().Reason; !strings.Contains(reason, "did not answer") {
		t.Errorf("reason %q", reason)
	}
}

func TestPluginWhoseAppendsHangIsReplaced(t *testing.T) {
	s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil))
	inst := wait(t, s)
	storage := NewStorage(s)
	try := func(app string) error {
		patience := 20 * time.Second
		if app == "hang" {
			patience = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return storage.Append(ctx, toyBatch(app))
	}
	for _, app := range []string{"hang", "fine", "hang"} { // not in a row
		if err := try(app); (err != nil) != (app == "hang") {
			t.Errorf("%s: %v", app, err)
		}
	}
	if isGone(inst) {
		t.Error("the process was ended for a single append")
	}
	if err := try("hang"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second in a row: %v", err)
	}
	testwait.Within(t, 20*time.Second, "another process", func() bool { i, err := s.Current(); return err == nil && i != inst })
	if !isGone(inst) {
		t.Error("the hung process lives")
	}
}

func TestSickBackendIsDegraded(t *testing.T) {
	s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "sick"), nil))
	wait(t, s)
	status := s.Status()
	if status.State != Degraded || status.Reason != "backend at nowhere:1 refuses" {
		t.Errorf("got %+v", status)
	}
}

func TestCrashOutsideOfCallsSaysWhy(t *testing.T) {
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
	opts.BackoffMin, opts.BackoffMax = time.Hour, time.Hour
	s, _ := supervise(t, opts)
	wait(t, s)
	if err := NewStorage(s).Append(t.Context(), toyBatch("panic")); !errors.Is(err, sdk.ErrPanic) {
		t.Errorf("a panic in a call: %v", err)
	}
	if err := NewStorage(s).Append(t.Context(), toyBatch("die")); !errors.Is(err, sdk.ErrUnavailable) {
		t.Errorf("a panic outside of calls: %v", err)
	}
	testwait.Within(t, 20*time.Second, "backing off", func() bool { return s.Status().Restarts == 1 && s.Status().State == BackingOff })
	if reason := s.Status().Reason; !strings.Contains(reason, "panic: outside of any call") {
		t.Errorf("reason %q", reason)
	}
}

func TestStartsThatFailSayWhy(t *testing.T) {
	for mode, want := range map[string]string{
		"exits":        "cannot open the pod bay doors",
		"crashes":      "panic: a bug",
		"silent":       "no handshake",
		"garbage":      "hello, I am not a plugin",
		"long-garbage": "",
		"old-protocol": "version",
		"no-tls":       "describe",
		"bad-cert":     "cert",
		"netrpc":       "netrpc",
		"other-name":   `is storage plugin "other", not storage plugin "toy"`,
		"broken-open":  "the disk is on fire",
	} {
		t.Run(mode, func(t *testing.T) {
			opts := testOptions(t, install(t, sdk.StorageKind, "toy", mode), nil)
			opts.BackoffMin, opts.BackoffMax = time.Hour, time.Hour
			switch mode { // these say nothing useful before the timeout
			case "silent", "long-garbage":
				opts.StartTimeout = 300 * time.Millisecond
			case "garbage":
				opts.StartTimeout = 2 * time.Second
			}
			s, _ := supervise(t, opts)
			testwait.Within(t, 20*time.Second, "backing off", func() bool { return s.Status().State == BackingOff })
			if reason := s.Status().Reason; reason == "" || !strings.Contains(reason, want) || strings.Contains(reason, "\n") {
				t.Errorf("reason %q, want one line with %q", reason, want)
			}
		})
	}
}

func TestWrongKindIsNamed(t *testing.T) {
	exe := install(t, sdk.AggregatorKind, "toy", "toy")
	opts := testOptions(t, exe, nil)
	opts.BackoffMin, opts.BackoffMax = time.Hour, time.Hour
	s, _ := supervise(t, opts)
	testwait.Within(t, 20*time.Second, "backing off", func() bool { return s.Status().State == BackingOff })
	if reason := s.Status().Reason; !strings.Contains(reason, `is storage plugin "toy", not aggregator plugin "toy"`) {
		t.Errorf("reason %q", reason)
	}
}

func TestStartThatHangsBacksOff(t *testing.T) {
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "silent"), nil)
	opts.StartTimeout, opts.StableTime = 50*time.Millisecond, 10*time.Millisecond
	opts.BackoffMin, opts.BackoffMax = time.Millisecond, 4*time.Millisecond
	s, _ := supervise(t, opts)
	testwait.Within(t, 20*time.Second, "failed", func() bool { return s.Status().State == Failed })
}

func TestReservedSecretIsForItsPluginAlone(t *testing.T) {
	reserved["TEST_TOKEN"] = "plugin storage-other"
	defer delete(reserved, "TEST_TOKEN")
	_, ended := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), map[string]string{"TEST_TOKEN": "hush"}))
	const want = "plugin storage-toy declares TEST_TOKEN, which is for plugin storage-other alone"
	if err := <-ended; !errors.Is(err, sdk.ErrInvalid) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCrashLoopIsFailedAndGoesOn(t *testing.T) {
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "exits"), nil)
	opts.BackoffMin, opts.BackoffMax = time.Millisecond, 4*time.Millisecond
	s, _ := supervise(t, opts)
	testwait.Within(t, 20*time.Second, "failed", func() bool { return s.Status().State == Failed })
	n := s.Status().Restarts
	testwait.Within(t, 20*time.Second, "another attempt", func() bool { return s.Status().Restarts > n })
}

func TestRefusedSettingsEndTheRun(t *testing.T) {
	for _, tc := range []struct {
		mode string
		env  map[string]string
		want string
	}{
		{"toy", map[string]string{"TEST_COUNT": "none"}, `TEST_COUNT="none": want a whole number of at least 1`},
		{"refuses", nil, "TEST_WORD: not this word: invalid"},
	} {
		t.Run(tc.mode, func(t *testing.T) {
			_, ended := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", tc.mode), tc.env))
			if err := <-ended; !errors.Is(err, sdk.ErrInvalid) || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestStopIsBoundedAndComplete(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"willing": 0, "frozen": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
			opts.CheckInterval = time.Hour
			s := NewSupervisor(opts)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			inst := wait(t, s)
			if err := syscall.Kill(inst.PID, signal); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 2*opts.StopTimeout+killTimeout {
				t.Errorf("the stop took %s", took)
			}
			if lives(inst.PID) {
				t.Error("the process lives")
			}
			if _, err := s.Wait(t.Context()); !errors.Is(err, sdk.ErrUnavailable) {
				t.Errorf("wait after the stop: %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(opts.RunDir, "*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestTerminalAndSystemSignalsAreTheHosts(t *testing.T) {
	s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil))
	inst := wait(t, s)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(inst.PID, sig); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		ask(t, s, "group")
	}
	if isGone(inst) {
		t.Error("a signal ended the plugin")
	}
}

func TestPluginDiesWithItsHost(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "lp")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	host := exec.Command(self)
	host.Env = append(os.Environ(), modeEnv+"=host", "LOGGER_TEST_DIR="+dir,
		"LOGGER_TEST_PLUGIN="+install(t, sdk.StorageKind, "toy", "toy").Path)
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || !lives(pid) {
		t.Fatalf("no plugin: %q, %v", line, err)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	_ = host.Wait()
	testwait.Within(t, 20*time.Second, "the plugin is gone", func() bool { return !lives(pid) })
	// It takes 10 ms; the bound allows for a busy machine.
	if took := time.Since(killed); took > 3*time.Second {
		t.Errorf("the plugin outlived its host by %s", took)
	}
}

func TestAggregatorThatEndsIsStartedAgain(t *testing.T) {
	// A storage has no aggregator service, so the stream ends at once.
	s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- NewAggregator(s, time.Millisecond).Run(ctx, nil) }()
	testwait.Within(t, 20*time.Second, "two restarts", func() bool { return s.Status().Restarts >= 2 })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// statesOf returns the plugin's state after each of its ends, as logged.
func statesOf(logs *recorder) (states []State) {
	for _, line := range logs.lines() {
		if _, rest, ok := strings.Cut(line, " state="); ok && strings.Contains(line, "plugin is down") {
			state, _, _ := strings.Cut(rest, " attempt=")
			states = append(states, State(strings.Trim(state, `"`)))
		}
	}
	return states
}

// TestDownIsOneLine: joined errors have several lines, but the log needs one.
func TestDownIsOneLine(t *testing.T) {
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
	opts.BackoffMin, opts.BackoffMax = time.Hour, time.Hour
	opts.Folders = func() error { return errors.Join(errors.New("one is gone"), errors.New("so is another")) }
	logs, logger := record()
	opts.Logger = logger
	s, _ := supervise(t, opts)
	down := func() string {
		for _, line := range logs.lines() {
			if strings.Contains(line, "plugin is down") {
				return line
			}
		}
		return ""
	}
	testwait.Within(t, 20*time.Second, "down", func() bool { return s.Status().State == BackingOff && down() != "" })
	if line := down(); !strings.Contains(line, "one is gone so is another") || !strings.Contains(line, "attempt=1") {
		t.Errorf("%s", line)
	}
}

// TestFoldersThatSomethingRemoved are made again for the next process.
func TestFoldersThatSomethingRemoved(t *testing.T) {
	opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
	opts.BackoffMin, opts.BackoffMax = time.Millisecond, 4*time.Millisecond
	opts.Folders = func() error { return errors.Join(os.MkdirAll(opts.RunDir, 0o700), os.MkdirAll(opts.StateDir, 0o700)) }
	s, _ := supervise(t, opts)
	inst := wait(t, s)
	if err := errors.Join(os.RemoveAll(opts.RunDir), os.RemoveAll(opts.StateDir)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(inst.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testwait.Within(t, 20*time.Second, "another process", func() bool { i, err := s.Current(); return err == nil && i != inst })
	if _, err := os.Stat(ask(t, s, "state")); err != nil {
		t.Error(err)
	}
}

// TestStableTimeForgetsFailures: when a plugin that ran long enough ends, its earlier failures no
// longer count.
func TestStableTimeForgetsFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		stable time.Duration
		want   State
	}{
		"it was stable":     {time.Nanosecond, BackingOff},
		"it was not stable": {time.Hour, Failed},
	} {
		t.Run(name, func(t *testing.T) {
			logs, logger := record()
			opts := testOptions(t, install(t, sdk.StorageKind, "toy", "toy"), nil)
			opts.Logger = logger
			opts.StableTime, opts.BackoffMin, opts.BackoffMax = tc.stable, 200*time.Millisecond, 200*time.Millisecond
			s, _ := supervise(t, opts)
			for n := range failedAfter {
				wait(t, s)
				_ = NewStorage(s).Append(t.Context(), toyBatch("die"))
				testwait.Within(t, 20*time.Second, "another end is counted", func() bool { return s.Status().Restarts >= uint64(n+1) })
			}
			// The state may have passed before the test looks.
			var states []State
			testwait.Within(t, 20*time.Second, "every end is told", func() bool {
				states = statesOf(logs)
				return len(states) >= failedAfter
			})
			if last := states[failedAfter-1]; last != tc.want {
				t.Errorf("at last it is %s, want %s: %v", last, tc.want, states)
			}
		})
	}
}
