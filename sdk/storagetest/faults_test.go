package storagetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// brittle wraps a reference. Its backend consists of two files, away and frozen, which tests create
// and remove. The fault checks must find its fault.
type brittle struct {
	*reference
	fault fault
	dir   string
	over  <-chan struct{}

	mu    sync.Mutex
	wasAt map[string]bool // states in which it has been
}

func newBrittle(f fault, dir string, over <-chan struct{}) *brittle {
	return &brittle{reference: newReference(faultLines, ""), fault: f, dir: dir, over: over, wasAt: map[string]bool{}}
}

var errAway = fmt.Errorf("the backend is away: %w", sdk.ErrUnavailable)

// is reports whether the backend is in the state.
func (b *brittle) is(state string) bool {
	_, err := os.Stat(filepath.Join(b.dir, state))
	if err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.wasAt[state] = true
	}
	return err == nil
}

func (b *brittle) was(state string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wasAt[state]
}

// reach returns nil when the backend serves.
func (b *brittle) reach(ctx context.Context) error {
	switch {
	case b.is("away"):
		switch b.fault {
		case "hangs while away":
			<-b.over
		case "refuses while away":
			return fmt.Errorf("no such table: %w", sdk.ErrInvalid)
		}
		return errAway
	case b.is("frozen"):
		if b.fault == "hangs while frozen" {
			<-b.over
		}
		for b.is("frozen") {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return ctx.Err()
}

func (b *brittle) Append(ctx context.Context, batch sdk.Batch) error {
	err := b.reach(ctx)
	switch {
	case err != nil && b.fault == "acknowledges falsely":
		return nil
	case err != nil && b.fault == "stores and says that it did not":
		changed := batch
		changed.ID.Writer += "?"
		_ = b.reference.Append(context.Background(), changed)
		return err
	case err != nil:
		return err
	case b.fault == "loses lines" && b.was("away"):
		b.wasAt = map[string]bool{}
		b.reference.mu.Lock()
		for _, log := range b.apps {
			log.entries = log.entries[:len(log.entries)-1]
		}
		b.reference.mu.Unlock()
	}
	return b.reference.Append(ctx, batch)
}

func (b *brittle) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	err := b.reach(ctx)
	switch {
	case err != nil && b.fault == "empty while away":
		return sdk.Page{}, nil
	case err != nil:
		return sdk.Page{}, err
	}
	return b.reference.Read(ctx, opts)
}

func (b *brittle) Delete(ctx context.Context, app string) error {
	if err := b.reach(ctx); err != nil {
		return err
	}
	return b.reference.Delete(ctx, app)
}

func (b *brittle) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	if err := b.reach(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with Follow
		for ctx.Err() == nil && !b.is("away") {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	began := false
	err := b.reference.Follow(ctx, app, after, func(page sdk.Page) error {
		if b.fault == "follows from the end" && b.was("away") && !began && !after.IsZero() {
			began, page.Entries = true, nil
			page.Next = page.End()
		}
		return yield(page)
	})
	if b.fault == "follows no more" && b.is("away") {
		select {
		case <-b.over:
		case <-context.WithoutCancel(ctx).Done():
		}
	}
	return err
}

func (b *brittle) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	switch {
	case b.fault == "says that all is well":
		return nil
	case b.fault == "never well again" && b.was("away"):
		return errAway
	case b.fault == "does not answer checks" && b.is("frozen"):
		<-b.over
	}
	err := b.reach(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the backend does not answer: %w", sdk.ErrUnavailable)
	}
	return err
}

// files holds the folder of a brittle storage's backend.
type files string

func (f files) set(state string) error {
	return os.WriteFile(filepath.Join(string(f), state), nil, 0o600)
}

func (f files) unset(state string) error { return os.Remove(filepath.Join(string(f), state)) }
func (f files) Break() error             { return f.set("away") }
func (f files) Mend() error              { return f.unset("away") }
func (f files) Freeze() error            { return f.set("frozen") }
func (f files) Thaw() error              { return f.unset("frozen") }

func TestFaultsReference(t *testing.T) {
	t.Parallel()
	Faults(t, func(t *testing.T, _ int) (sdk.Storage, Backend) {
		dir, over := t.TempDir(), make(chan struct{})
		t.Cleanup(func() { close(over) })
		return newBrittle(fault(os.Getenv(faultEnv)), dir, over), files(dir)
	})
}

// TestFaultsOfExecutable checks a brittle plugin in a process of its own.
func TestFaultsOfExecutable(t *testing.T) {
	t.Parallel()
	FaultsExecutable(t, install(t, "brittle "+fault(os.Getenv(faultEnv))), func(t *testing.T) (map[string]string, Backend) {
		dir := t.TempDir()
		return map[string]string{"TEST_WORD": dir}, files(dir)
	})
}

// TestFaultsWithBackendAreFound: each wrong reaction to a failing backend is found by the check for
// it.
func TestFaultsWithBackendAreFound(t *testing.T) {
	t.Parallel()
	for f, check := range map[fault]string{
		"hangs while away":                "AwayErrors",
		"refuses while away":              "AwayErrors",
		"empty while away":                "AwayErrors",
		"acknowledges falsely":            "AwayKeeps",
		"loses lines":                     "AwayKeeps",
		"stores and says that it did not": "AwayKeeps",
		"hangs while frozen":              "FrozenErrors",
		"says that all is well":           "AwayCheck",
		"never well again":                "AwayCheck",
		"does not answer checks":          "FrozenCheck",
		"follows no more":                 "AwayFollow",
		"follows from the end":            "AwayFollow",
	} {
		suites := []string{"TestFaultsReference"}
		if f == "acknowledges falsely" || f == "loses lines" || f == "hangs while frozen" {
			suites = append(suites, "TestFaultsOfExecutable")
		}
		for _, suite := range suites {
			t.Run(suite+"/"+string(f), func(t *testing.T) {
				t.Parallel()
				out := finds(t, f, suite, check)
				if f == "says that all is well" && !strings.Contains(out, "the backend is away, and after 10s Check still says that all is well\n") {
					t.Errorf("%s does not say so:\n%s", check, out)
				}
			})
		}
	}
}

// TestCheckWithBackend: without a backend, or with one that cannot be frozen, checks are left out,
// each by name.
func TestCheckWithBackend(t *testing.T) {
	t.Parallel()
	outcomes := func(settings map[string]string, backend Backend) (ok bool, count map[plugintest.Outcome]int) {
		count = map[plugintest.Outcome]int{}
		var others []plugintest.Option // this test is not about the other checks
		for _, c := range executableChecks("", nil, private) {
			others = append(others, plugintest.Without(c.Name, "another test's"))
		}
		ok, err := CheckWithBackend(t.Context(), install(t, "brittle "), settings, backend, func(string) {}, func(r plugintest.Result) {
			if !strings.HasPrefix(r.Check, "Away") && !strings.HasPrefix(r.Check, "Frozen") {
				return
			}
			count[r.Outcome]++
			if r.Outcome == plugintest.Failed || r.Outcome == plugintest.OptedOut && len(r.Lines) != 1 {
				t.Errorf("%s: %s: %q", r.Check, r.Outcome, r.Lines)
			}
		}, others...)
		if err != nil {
			t.Error(err)
		}
		return ok, count
	}
	if ok, count := outcomes(nil, nil); !ok || count[plugintest.OptedOut] != 8 {
		t.Errorf("without a backend: %t, %v", ok, count)
	}
	dir := t.TempDir()
	if ok, count := outcomes(map[string]string{"TEST_WORD": dir}, struct{ Backend }{files(dir)}); !ok || count[plugintest.OptedOut] != 4 || count[plugintest.Passed] != 4 {
		t.Errorf("with a backend that cannot be frozen: %t, %v", ok, count)
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("the backend is not mended: %v, %v", left, err)
	}
}
