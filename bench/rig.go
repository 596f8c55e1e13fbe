package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// rig holds what every measurement uses: the built programs, folders for their servers, and the
// place for the figures.
type rig struct {
	options options
	figures figures
	stderr  io.Writer

	binaries string
	dir      string // files of the servers; removed at the end
	tmpfs    string // run folders of the logger; removed at the end
	runDirs  int    // how many were made in tmpfs
}

// newRig builds the programs. Close it even if a measurement failed.
func newRig(ctx context.Context, o options, stderr io.Writer) (_ *rig, err error) {
	r := &rig{options: o, stderr: stderr, binaries: o.binaries}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.dir, err = os.MkdirTemp("", "logger-bench-"); err != nil {
		return nil, err
	}
	// The logger would use this folder too. The path has to be short, since it contains sockets.
	base := "/dev/shm"
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		base = ""
		r.figures.note("there is no /dev/shm: the memory storage's arena was not on a tmpfs")
	}
	if r.tmpfs, err = os.MkdirTemp(base, "lb"); err != nil {
		return nil, err
	}
	if r.binaries == "" {
		r.binaries = filepath.Join(r.dir, "bin")
		if err := build(ctx, r.binaries); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// close removes the folders.
func (r *rig) close() {
	for _, dir := range []string{r.dir, r.tmpfs} {
		if dir == "" {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			r.logf("remove %s: %v", dir, err)
		}
	}
}

// build makes the programs as `make binaries` does, in dir.
func build(ctx context.Context, dir string) error {
	const module = "github.com/deis/logger/"
	for _, args := range [][]string{
		{"-o", filepath.Join(dir, "logger"), module + "cmd/logger"},
		{
			"-o", filepath.Join(dir, "plugins") + "/",
			module + "cmd/logger-storage-memory", module + "cmd/logger-storage-redis", module + "cmd/logger-aggregator-nsq",
		},
	} {
		cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-ldflags", "-s -w"}, args...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build what is measured: %w\n%s", err, out)
		}
	}
	return nil
}

func (r *rig) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(r.stderr, "bench: "+format+"\n", args...)
}

// folder returns a new folder for a server's files.
func (r *rig) folder() (string, error) { return os.MkdirTemp(r.dir, "") }

// runDir returns a new folder for what the logger keeps in memory. Its path is short.
func (r *rig) runDir() (string, error) {
	r.runDirs++
	dir := filepath.Join(r.tmpfs, strconv.Itoa(r.runDirs))
	return dir, os.Mkdir(dir, 0o700)
}

// poll calls ready again and again until it returns true or fails, at most for timeout.
func poll(ctx context.Context, what string, every, timeout time.Duration, ready func() (bool, error)) error {
	deadline := time.Now().Add(timeout)
	for {
		ok, err := ready()
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", what, err)
		case ok:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s: not within %s", what, timeout)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-time.After(every):
		}
	}
}
