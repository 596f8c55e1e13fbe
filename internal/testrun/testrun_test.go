package testrun

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failing keeps the errors of a test.
type failing struct {
	testing.TB
	errors []string
}

func (f *failing) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

// TestStart: a part that ends as told fails no test, and any other error does.
func TestStart(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want int
	}{"none": {}, "cancelled": {err: context.Canceled}, "another": {errors.New("no disk"), 1}} {
		t.Run(name, func(t *testing.T) {
			tb, ended := &failing{TB: t}, false
			stop := Start(tb, func(ctx context.Context) error {
				<-ctx.Done()
				ended = true
				return tc.err
			})
			stop()
			if stop(); !ended || len(tb.errors) != tc.want {
				t.Errorf("ended %t, errors %q, want %d", ended, tb.errors, tc.want)
			}
		})
	}
}

// TestWriteProgram: programs that are written and run side by side all start.
func TestWriteProgram(t *testing.T) {
	for n := range 8 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			for i := range 50 {
				path := filepath.Join(t.TempDir(), fmt.Sprint(i))
				WriteProgram(t, path, "#!/bin/sh\n")
				if out, err := exec.CommandContext(t.Context(), path).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
		})
	}
}
