package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deis/logger/sdk"
)

// hostileEnv makes the test binary act as a plugin that misbehaves in the way the value names. A
// script sets it, since a host passes no such variable to a plugin.
const hostileEnv = "LOGGER_E2E_HOSTILE"

// installHostile makes a folder with one plugin that misbehaves as mode says. It returns the host's
// LOGGER_PLUGIN_PATH: that folder, then the one of the bundled plugins.
func installHostile(t *testing.T, file, mode string) (pluginPath string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	lines := "export GORACE=atexit_sleep_ms=0\n"
	switch mode {
	case "older":
		// If a host knows none of its versions, a plugin of the SDK answers with its lowest.
		lines += "printf '1|0|unix|/nowhere|grpc|\\n'; exec sleep 60\n"
	case "newer":
		lines += "printf '1|99|unix|/nowhere|grpc|\\n'; exec sleep 60\n"
	case "handshake":
		lines += "echo 'welcome to my storage'; exec sleep 60\n"
	case "greets":
		lines += "echo 'good morning'\n"
	case "silent":
		lines += "exec sleep 60\n"
	}
	script := "#!/bin/sh\n" + lines + hostileEnv + "=" + mode + " exec '" + self + "'\n"
	if err := os.WriteFile(filepath.Join(dir, file), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

type hostileSettings struct {
	Word string `env:"HOSTILE_WORD" doc:"a word"`
}

type demandingSettings struct {
	URL string `env:"HOSTILE_URL" required:"true" doc:"where the lines go"`
}

// ownerSettings declares a variable as a secret, and thiefSettings declares the same one as plain
// text.
type ownerSettings struct {
	Token string `env:"HOSTILE_TOKEN" secret:"true" doc:"a secret"`
}

type greedySettings struct {
	Secret string `env:"NSQ_AUTH_SECRET" doc:"a text"`
}

type thiefSettings struct {
	Loot string `env:"HOSTILE_TOKEN" doc:"a text"`
}

// hostile implements a storage that misbehaves as its mode says. It stores nothing, so it is no
// storagefake.
type hostile struct{ mode string }

func (h hostile) Append(ctx context.Context, _ sdk.Batch) error {
	if h.mode == "hangs" {
		select {} // ignores the end of ctx
	}
	return ctx.Err()
}

func (h hostile) Read(context.Context, sdk.ReadOptions) (sdk.Page, error) {
	return sdk.Page{}, nil
}
func (h hostile) Delete(context.Context, string) error { return nil }

func (h hostile) Check(context.Context) error {
	if h.mode == "never-ready" {
		return errors.New("hostile.example:1 is away")
	}
	return nil
}

// Metrics implements [sdk.Exposer].
func (h hostile) Metrics(context.Context) ([]byte, error) {
	switch h.mode {
	case "metrics-broken":
		return []byte("go_goroutines 1\n<html>\n"), nil
	case "metrics-twice":
		return []byte("logger_messages_waiting 1\nlogger_messages_waiting 2\n"), nil
	case "metrics-huge":
		return []byte("m{a=\"" + strings.Repeat("x", 2<<20) + "\"} 1\n"), nil
	case "metrics-hang":
		select {} // ignores the end of ctx
	case "metrics-of-the-host":
		return []byte("logger_messages_waiting 77\nup NaN\n"), nil
	}
	return nil, nil
}

func actHostile(mode string) {
	info := sdk.Info{Name: "hostile", Version: "6.6.6"}
	serve := func() {
		sdk.ServeStorage(info, func(context.Context, hostileSettings, sdk.Host) (sdk.Storage, error) { return hostile{mode}, nil })
	}
	switch mode {
	case "demanding":
		sdk.ServeStorage(info, func(context.Context, demandingSettings, sdk.Host) (sdk.Storage, error) { return hostile{mode}, nil })
	case "dies":
		sdk.ServeStorage(info, func(_ context.Context, _ hostileSettings, h sdk.Host) (sdk.Storage, error) {
			h.Logger.Error("no disk found")
			os.Exit(8)
			return nil, nil
		})
	case "greedy":
		sdk.ServeStorage(info, func(context.Context, greedySettings, sdk.Host) (sdk.Storage, error) { return hostile{mode}, nil })
	case "owner":
		info.Name = mode
		sdk.ServeStorage(info, func(context.Context, ownerSettings, sdk.Host) (sdk.Storage, error) { return hostile{mode}, nil })
	case "thief":
		info.Name = mode
		sdk.ServeStorage(info, func(context.Context, thiefSettings, sdk.Host) (sdk.Storage, error) { return hostile{mode}, nil })
	case "aggregator":
		sdk.ServeAggregator(info, func(context.Context, hostileSettings, sdk.Host) (sdk.Aggregator, error) { return nil, errors.New("no") })
	case "exits":
		fmt.Fprintln(os.Stderr, "no licence found")
		os.Exit(7)
	case "floods":
		go func() {
			for line := strings.Repeat("blah ", 40); ; {
				fmt.Fprintln(os.Stderr, line)
			}
		}()
		serve()
	case "grandchild":
		child := exec.Command("sleep", "1000")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if child.Start() != nil {
			os.Exit(9)
		}
		serve()
	case "junk":
		serveJunk()
	default:
		serve()
	}
}

// serveJunk completes a handshake without TLS, and answers every connection with noise.
func serveJunk() {
	dir, err := os.MkdirTemp("", "j")
	if err != nil {
		os.Exit(9)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", filepath.Join(dir, "s"))
	if err != nil {
		os.Exit(9)
	}
	fmt.Printf("1|%d|unix|%s|grpc|\n", sdk.ProtocolVersion, listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			os.Exit(9)
		}
		_ = os.RemoveAll(dir)
		go func() {
			for err == nil {
				_, err = conn.Write([]byte(strings.Repeat("\x00\xffjunk", 1000)))
			}
		}()
	}
}
