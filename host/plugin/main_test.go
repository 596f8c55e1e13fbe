package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/sdk"
)

// modeEnv makes the test binary a plugin (or a host) of the named kind. The host clears a plugin's
// environment, so a script in between sets the variable: see install.
const modeEnv = "LOGGER_TEST_MODE"

func TestMain(m *testing.M) {
	if mode := os.Getenv(modeEnv); mode != "" {
		act(mode)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// install makes a folder with a plugin executable that behaves as mode says.
func install(t *testing.T, kind sdk.Kind, name, mode string) Executable {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "logger-"+kind.String()+"-"+name)
	// Otherwise the race detector delays every exit by a second.
	script := fmt.Sprintf("#!/bin/sh\nexport GORACE=atexit_sleep_ms=0\n%s=%s exec '%s'\n", modeEnv, mode, self)
	testrun.WriteProgram(t, path, script)
	return Executable{Kind: kind, Name: name, Path: path}
}

// testSettings holds what the test plugins declare.
type testSettings struct {
	Word  string `env:"TEST_WORD" default:"hello" doc:"a word"`
	Count int    `env:"TEST_COUNT" default:"1" min:"1" doc:"a number"`
	Token string `env:"TEST_TOKEN" secret:"true" doc:"a secret"`
}

// thiefSettings declares the secret of testSettings as an ordinary text.
type thiefSettings struct {
	Loot string `env:"TEST_TOKEN" doc:"a text"`
}

// rivalSettings declares it as a secret of its own.
type rivalSettings struct {
	Token string `env:"TEST_TOKEN" secret:"true" doc:"a secret"`
}

// toy implements a storage whose Read answers the test's questions about the process, and whose
// Append harms it. It stores nothing, so it is no storagefake.
type toy struct {
	settings testSettings
	host     sdk.Host
	hoard    []byte
	hanging  atomic.Int32 // appends
}

func (s *toy) Append(ctx context.Context, b sdk.Batch) error {
	switch app := b.Apps[0].App; app {
	case "hang":
		s.hanging.Add(1)
		defer s.hanging.Add(-1)
		<-ctx.Done()
		return ctx.Err()
	case "panic":
		panic("boom")
	case "die":
		go func() { panic("outside of any call") }()
		<-ctx.Done()
	case "take-200":
		s.hoard = make([]byte, 200<<20)
		for i := range s.hoard {
			s.hoard[i] = 1
		}
	case "print":
		fmt.Println("printed to stdout")
		fmt.Fprintln(os.Stderr, "printed to stderr")
	}
	return nil
}

func (s *toy) Read(_ context.Context, o sdk.ReadOptions) (sdk.Page, error) {
	var text string
	switch o.App {
	case "settings":
		text = fmt.Sprintf("%+v", s.settings)
	case "state":
		text = s.host.StateDir
	case "environment":
		text = strings.Join(os.Environ(), "\x00")
	case "level":
		text = s.host.Logger.GetLevel().String()
	case "group":
		text = fmt.Sprint(syscall.Getpgrp() == os.Getpid())
	case "hanging":
		text = fmt.Sprint(s.hanging.Load())
	case "files":
		var open []*os.File
		for len(open) < 300 {
			f, err := os.Open(os.DevNull)
			if err != nil {
				break
			}
			open = append(open, f)
		}
		for _, f := range open {
			_ = f.Close()
		}
		text = fmt.Sprint(len(open))
	case "memory-8":
		s.hoard = make([]byte, 8<<20)
		for i := range s.hoard {
			s.hoard[i] = 1
		}
		text = "8"
	}
	return sdk.Page{Epoch: 1, Last: 1, Entries: []sdk.Entry{{Position: 1, Message: text}}}, nil
}

func (s *toy) Delete(context.Context, string) error { return nil }

// sick wraps a toy whose backend does not serve.
type sick struct{ toy }

func (*sick) Check(context.Context) error { return errors.New("backend at nowhere:1 refuses") }

// liar wraps a toy whose answers break the contract, which those of a storagefake cannot.
type liar struct{ toy }

func (*liar) Append(_ context.Context, b sdk.Batch) error {
	if b.Apps[0].App == "full" {
		return fmt.Errorf("no room: %w", sdk.ErrFull)
	}
	return nil
}

func (*liar) Read(ctx context.Context, o sdk.ReadOptions) (sdk.Page, error) {
	page := sdk.Page{Epoch: 1, Last: 9, Entries: []sdk.Entry{{Position: 9}}}
	switch o.App {
	case "no-epoch":
		page.Epoch = 0
	case "no-position":
		page.Entries[0].Position = 0
	case "endless":
		page = sdk.Page{Epoch: 1, Last: 9, More: true, Next: o.After}
	case "too-many":
		page.Entries = []sdk.Entry{{Position: 7}, {Position: 8}, {Position: 9}}
	case "32-MiB":
		page.Entries[0].Message = strings.Repeat("x", 32<<20)
	case "hangs":
		<-ctx.Done()
		return page, ctx.Err()
	}
	return page, nil
}

// stuck wraps a toy that never answers a check.
type stuck struct{ toy }

func (*stuck) Check(context.Context) error { select {} }

func serveToy(name string) {
	sdk.ServeStorage(sdk.Info{Name: name, Version: "9.9"}, func(_ context.Context, s testSettings, h sdk.Host) (sdk.Storage, error) {
		return &toy{settings: s, host: h}, nil
	})
}

// act behaves as the mode says, when the test binary is run as a plugin.
func act(mode string) {
	switch mode {
	case "toy":
		serveToy("toy")
	case "sick":
		sdk.ServeStorage(sdk.Info{Name: "toy"}, func(_ context.Context, s testSettings, h sdk.Host) (sdk.Storage, error) {
			return &sick{toy{settings: s, host: h}}, nil
		})
	case "liar":
		sdk.ServeStorage(sdk.Info{Name: "toy"}, func(_ context.Context, s testSettings, h sdk.Host) (sdk.Storage, error) {
			return &liar{toy{settings: s, host: h}}, nil
		})
	case "stuck":
		sdk.ServeStorage(sdk.Info{Name: "toy"}, func(_ context.Context, s testSettings, h sdk.Host) (sdk.Storage, error) {
			return &stuck{toy{settings: s, host: h}}, nil
		})
	case "other-name":
		serveToy("other")
	case "broken-open":
		sdk.ServeStorage(sdk.Info{Name: "toy"}, func(context.Context, testSettings, sdk.Host) (sdk.Storage, error) {
			return nil, errors.New("the disk is on fire")
		})
	case "opens-file":
		sdk.ServeStorage(sdk.Info{Name: "toy"}, func(_ context.Context, s testSettings, h sdk.Host) (sdk.Storage, error) {
			return &toy{settings: s, host: h}, os.WriteFile(filepath.Join(h.StateDir, "opened"), nil, 0o600)
		})
	case "inspectable":
		sdk.ServeStorage(sdk.Info{Name: "toy", Inspectable: true}, func(_ context.Context, s testSettings, h sdk.Host) (sdk.Storage, error) {
			if !h.Inspect {
				return nil, os.WriteFile(filepath.Join(h.StateDir, "opened"), nil, 0o600)
			}
			return &sick{toy{settings: s, host: h}}, nil
		})
	case "inspectable-broken":
		sdk.ServeStorage(sdk.Info{Name: "toy", Inspectable: true}, func(context.Context, testSettings, sdk.Host) (sdk.Storage, error) {
			return nil, errors.New("the disk is on fire")
		})
	case "refuses":
		sdk.ServeStorage(sdk.Info{Name: "toy"}, func(context.Context, testSettings, sdk.Host) (sdk.Storage, error) {
			return nil, fmt.Errorf("TEST_WORD: not this word: %w", sdk.ErrInvalid)
		})
	case "thief":
		sdk.ServeStorage(sdk.Info{Name: "thief"}, func(_ context.Context, s thiefSettings, _ sdk.Host) (sdk.Storage, error) {
			return &toy{settings: testSettings{Token: s.Loot}}, nil
		})
	case "rival":
		sdk.ServeStorage(sdk.Info{Name: "rival"}, func(_ context.Context, s rivalSettings, _ sdk.Host) (sdk.Storage, error) {
			return &toy{settings: testSettings{Token: s.Token}}, nil
		})
	case "noise":
		for range 3 {
			fmt.Println("some library greets you")
		}
		serveToy("toy")
	case "hostile-logs":
		for _, line := range hostileLines() {
			fmt.Fprintln(os.Stderr, line)
		}
		serveToy("toy")
	case "floods":
		go func() {
			lines := []byte(strings.Repeat("[INFO] so many lines of a plugin that prints too much of them all the time\n", 1000))
			for {
				_, _ = os.Stderr.Write(lines)
			}
		}()
		serveToy("toy")
	case "grandchild":
		child := exec.Command("sleep", "1000")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		escaped := exec.Command("sleep", "1000")
		escaped.Stdout, escaped.Stderr = os.Stdout, os.Stderr
		escaped.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		orphan := exec.Command("setsid", "sh", "-c", "sleep 1000 & echo orphan $! >&2")
		orphan.Stderr = os.Stderr
		unmarked := exec.Command("env", "-i", "setsid", "sh", "-c", "sleep 1000; sleep 1000")
		if child.Start() != nil || escaped.Start() != nil || orphan.Run() != nil || unmarked.Start() != nil {
			os.Exit(9)
		}
		for name, c := range map[string]*exec.Cmd{"child": child, "escaped": escaped, "unmarked": unmarked} {
			fmt.Fprintf(os.Stderr, "%s %d\n", name, c.Process.Pid)
		}
		serveToy("toy")
	case "exits":
		fmt.Fprintln(os.Stderr, "cannot open the pod bay doors")
		os.Exit(3)
	case "crashes":
		panic("a bug")
	case "silent":
		select {}
	case "garbage":
		fmt.Println("hello, I am not a plugin")
		select {}
	case "long-garbage":
		fmt.Print(strings.Repeat("x", 1<<20))
		select {}
	case "old-protocol":
		fmt.Println("1|0|unix|/nowhere|grpc|")
		select {}
	case "no-tls":
		fmt.Println("1|1|unix|/nowhere|grpc|")
		select {}
	case "bad-cert":
		fmt.Println("1|1|unix|/nowhere|grpc|" + strings.Repeat("A", 60))
		select {}
	case "netrpc":
		fmt.Println("1|1|unix|/nowhere|netrpc|")
		select {}
	case "host":
		actHost()
	default:
		fmt.Fprintln(os.Stderr, "no such mode", mode)
		os.Exit(9)
	}
}

// actHost runs a host with a plugin until it is killed. It prints the plugin's pid.
func actHost() {
	opts := DefaultOptions()
	opts.Executable = Executable{Kind: sdk.StorageKind, Name: "toy", Path: os.Getenv("LOGGER_TEST_PLUGIN")}
	opts.RunDir, opts.StateDir = os.Getenv("LOGGER_TEST_DIR"), os.Getenv("LOGGER_TEST_DIR")
	opts.Lookup = func(string) (string, bool) { return "", false }
	opts.Logger = hclog.NewNullLogger()
	s := NewSupervisor(opts)
	go func() { _ = s.Run(context.Background()) }()
	inst, err := s.Wait(context.Background())
	if err != nil {
		os.Exit(9)
	}
	fmt.Println(inst.PID)
	select {}
}

// testOptions returns options that supervise the executable with short times.
func testOptions(t *testing.T, exe Executable, env map[string]string) Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "lp") // t.TempDir is too long a path for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	opts := DefaultOptions()
	opts.Executable = exe
	opts.RunDir, opts.StateDir = dir, t.TempDir()
	opts.Lookup = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	opts.Logger = hclog.NewNullLogger()
	opts.StartTimeout = 10 * time.Second
	opts.CheckInterval = 50 * time.Millisecond
	opts.CheckTimeout = 500 * time.Millisecond
	return opts
}

// supervise runs a supervisor until the end of the test. The returned channel receives its result.
func supervise(t *testing.T, opts Options) (*Supervisor, <-chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s := NewSupervisor(opts)
	ended := make(chan error, 1)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		ended <- s.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		select {
		case <-finished:
		case <-time.After(10 * time.Second):
			t.Error("the supervisor did not stop within 10 s")
		}
		if left, _ := filepath.Glob(filepath.Join(opts.RunDir, "*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
	return s, ended
}

// processOf returns the process of an instance that was launched.
func processOf(inst *Instance) *process { return inst.life.(*launched).process }

func wait(t *testing.T, s *Supervisor) *Instance {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	inst, err := s.Wait(ctx)
	if err != nil {
		t.Fatalf("no instance: %v (%+v)", err, s.Status())
	}
	return inst
}

// lives reports whether the process runs. A zombie does not.
func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func ask(t *testing.T, s *Supervisor, question string) string {
	t.Helper()
	page, err := NewStorage(s).Read(t.Context(), sdk.ReadOptions{App: question, Limit: 1})
	if err != nil {
		t.Fatalf("ask %s: %v", question, err)
	}
	return page.Entries[0].Message
}

func toyBatch(app string) sdk.Batch {
	return sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: 1}, Apps: []sdk.AppEntries{{App: app, Entries: []sdk.Entry{{}}}}}
}
