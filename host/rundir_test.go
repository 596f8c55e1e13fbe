package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// base makes a folder with a short path: a test's own is too long for sockets.
func base(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func open(t *testing.T, dir, owner string) *runDir {
	t.Helper()
	d, err := openRunDir(dir, owner, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// crash leaves the folder behind as a killed host does, with a line of state.
func crash(t *testing.T, d *runDir) {
	t.Helper()
	state, err := d.stateOf("storage-memory")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(state, "ring"), filepath.Join(d.sockets(), "old.sock")} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.lock.Close(); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestStopLeavesNothing(t *testing.T) {
	dir := base(t)
	open(t, dir, "me").Close(true)
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestStateOfAKilledHostIsTakenOver(t *testing.T) {
	dir := base(t)
	first := open(t, dir, "me")
	crash(t, first)
	second := open(t, dir, "me")
	defer second.Close(true)
	if second.path != first.path || !second.adopted {
		t.Errorf("got %s, want %s", second.path, first.path)
	}
	if !exists(filepath.Join(second.state(), "storage-memory", "ring")) {
		t.Error("the state is gone")
	}
	if exists(filepath.Join(second.sockets(), "old.sock")) {
		t.Error("an old socket is left")
	}
	third := open(t, dir, "me") // while the second lives
	defer third.Close(true)
	if third.path == second.path || third.adopted {
		t.Error("two hosts share a run folder")
	}
}

func TestStateOutlivesAStartThatFails(t *testing.T) {
	dir := base(t)
	crash(t, open(t, dir, "me"))
	open(t, dir, "me").Close(false)
	third := open(t, dir, "me")
	defer third.Close(true)
	if !third.adopted || !exists(filepath.Join(third.state(), "storage-memory", "ring")) {
		t.Error("the state is gone")
	}
}

func TestFolderInUseLooksInUse(t *testing.T) {
	d := open(t, base(t), "me")
	defer d.Close(true)
	if err := os.Chtimes(d.lock.Name(), time.Time{}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), abandonedAfter)
		defer stop()
		if err := d.keepAlive(ctx, hclog.NewNullLogger()); err != nil {
			t.Error(err)
		}
	})
	if info, err := d.lock.Stat(); err != nil || info.ModTime().Equal(time.Unix(0, 0)) {
		t.Errorf("last used %v, %v", info.ModTime(), err)
	}
}

// TestFolderThatIsTidiedAway: a program that cleans the temporary folder removes a folder in use.
func TestFolderThatIsTidiedAway(t *testing.T) {
	dir := base(t)
	d := open(t, dir, "me")
	defer d.Close(true)
	state, err := d.stateOf("storage-memory")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(d.path); err != nil {
		t.Fatal(err)
	}
	if err := d.heal(); err != nil {
		t.Fatal(err)
	}
	if !exists(d.sockets()) || !exists(state) {
		t.Error("its folders are gone")
	}
	other := open(t, dir, "me")
	defer other.Close(true)
	if other.path == d.path {
		t.Error("it is not locked any more")
	}
}

// TestFolderThatIsExchanged: once a folder is gone, others may put something else in its place. The
// host does not use that, and makes the folder again when it is gone.
func TestFolderThatIsExchanged(t *testing.T) {
	for name, put := range map[string]func(path, elsewhere string) error{
		"a file":                func(path, _ string) error { return os.WriteFile(path, nil, 0o600) },
		"a link":                func(path, elsewhere string) error { return os.Symlink(elsewhere, path) },
		"a folder open to all":  func(path, _ string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) },
		"a link to nothing yet": func(path, elsewhere string) error { return os.Symlink(filepath.Join(elsewhere, "x"), path) },
	} {
		for _, part := range []string{"", "s", "state", "state/storage-memory"} {
			t.Run(name+" as "+part, func(t *testing.T) {
				d, elsewhere := open(t, base(t), "me"), t.TempDir()
				defer d.Close(true)
				if _, err := d.stateOf("storage-memory"); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(d.path, part)
				if err := errors.Join(os.RemoveAll(path), put(path, elsewhere)); err != nil {
					t.Fatal(err)
				}
				if err := d.heal(); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
					t.Errorf("it is used: %v", err)
				}
				if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
					t.Errorf("%v (%v) were made elsewhere", left, err)
				}
				if err := errors.Join(os.RemoveAll(path), d.heal()); err != nil || !exists(path) {
					t.Errorf("it is not made again: %v", err)
				}
			})
		}
	}
}

// TestStateOfOtherPlugins: a killed host is started again with another storage.
func TestStateOfOtherPlugins(t *testing.T) {
	dir := base(t)
	crash(t, open(t, dir, "me"))
	next := open(t, dir, "me")
	defer next.Close(true)
	if !next.adopted {
		t.Fatal("the folder was not taken over")
	}
	if _, err := next.stateOf("storage-redis"); err != nil {
		t.Fatal(err)
	}
	next.only("storage-redis", "aggregator-nsq")
	if exists(filepath.Join(next.state(), "storage-memory")) || !exists(filepath.Join(next.state(), "storage-redis")) {
		t.Error("want the state of the plugin in use, and no other")
	}
}

func TestWhatOthersLeftBehind(t *testing.T) {
	for _, tc := range []struct {
		name, owner, next string
		state             bool
		age               time.Duration
		gone              bool
	}{
		{"another's fresh state waits for its owner", "other", "me", true, 0, false},
		{"another's old state is abandoned", "other", "me", true, 2 * abandonedAfter, true},
		{"another's empty folder", "other", "me", false, 0, true},
		{"nobody's fresh state", "", "", true, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := base(t)
			left := open(t, dir, tc.owner)
			crash(t, left)
			ring := filepath.Join(left.state(), "storage-memory", "ring")
			if !tc.state {
				_ = os.Remove(ring)
			}
			used := time.Now().Add(-tc.age)
			if err := os.Chtimes(filepath.Join(left.path, lockFile), used, used); err != nil {
				t.Fatal(err)
			}
			next := open(t, dir, tc.next)
			defer next.Close(true)
			if next.adopted || next.path == left.path {
				t.Error("it was taken over")
			}
			if exists(left.path) == tc.gone {
				t.Errorf("gone: %v, want %v", !exists(left.path), tc.gone)
			}
		})
	}
}

func TestFoldersThatAreNotOursStay(t *testing.T) {
	dir := base(t)
	foreign := filepath.Join(dir, runDirPrefix+"x")
	if err := os.Mkdir(foreign, 0o700); err != nil { // without a lock, its host is just making it
		t.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(dir, runDirPrefix+"y")); err != nil {
		t.Fatal(err)
	}
	open(t, dir, "me").Close(true)
	if !exists(foreign) || !exists("/etc") {
		t.Error("a foreign folder was removed")
	}
}

// TestTrialsThatWereKilledLeaveNothing: the next trial or host removes their folders. A trial at
// work keeps its own.
func TestTrialsThatWereKilledLeaveNothing(t *testing.T) {
	for name, next := range map[string]func(dir string){
		"the next trial": func(dir string) {
			if _, remove, err := TrialDir(dir); err != nil {
				t.Error(err)
			} else {
				remove()
			}
		},
		"a host": func(dir string) { open(t, dir, "me").Close(true) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := base(t)
			atWork, remove, err := TrialDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			killed := filepath.Join(dir, trialPrefix+"1")
			if err := os.MkdirAll(filepath.Join(killed, "p1"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(killed, lockFile), nil, 0o600); err != nil { // nobody holds it
				t.Fatal(err)
			}
			next(dir)
			if exists(killed) || !exists(atWork) {
				t.Errorf("killed: there %t, at work: there %t", exists(killed), exists(atWork))
			}
			remove()
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestLongRunDirIsRefused(t *testing.T) {
	dir := filepath.Join(base(t), strings.Repeat("x", maxRunDir))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := openRunDir(dir, "me", hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), "LOGGER_RUN_DIR") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
