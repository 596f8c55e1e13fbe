package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

const tutorialPostgres = "../docs/plugins/tutorial-postgres.md"

// postgresAt returns a replacer that puts this address in the place of the tutorial's.
func postgresAt(addr string) *strings.Replacer {
	_, port, _ := strings.Cut(addr, ":")
	return strings.NewReplacer("127.0.0.1:54321", addr, " 54321 ", " "+port+" ")
}

// TestTutorialQuotesTheExample: every quotation in the second half of the tutorial is part of
// examples/storage-postgres.
func TestTutorialQuotesTheExample(t *testing.T) {
	steps, _ := tutorialSteps(t, tutorialPostgres)
	quotations := 0
	for _, step := range steps {
		if step.quotation == "" {
			continue
		}
		quotations++
		source, err := os.ReadFile(filepath.Join(examples, "storage-postgres", step.file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), step.quotation) {
			t.Errorf("%s has no such lines:\n%s", step.file, step.quotation)
		}
	}
	if quotations < 5 {
		t.Errorf("%d quotations", quotations)
	}
}

// TestTutorialPostgres follows the second half of the tutorial in an empty folder outside of the
// repository. That includes the suites of storage-postgres and its tests that need no database.
func TestTutorialPostgres(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "pg") // a folder that the database's user may enter; t.TempDir is none
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if text, err := os.ReadFile(filepath.Join(dir, "pg.pid")); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 0 {
				_ = syscall.Kill(pid, syscall.SIGINT)
			}
		}
		_ = os.RemoveAll(dir)
	})
	followTutorial(t, tutorialPostgres, dir, postgresAt(harness.FreeAddr(t)))
}
