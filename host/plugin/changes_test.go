package plugin

import (
	"errors"
	"testing"

	"github.com/deis/logger/sdk"
)

// TestVersions walks through what may befall a storage: its version is the same only
// between two moments of which it is certain that nothing changed.
func TestVersions(t *testing.T) {
	var c changes
	sole := func() *Instance { return &Instance{Capabilities: sdk.Capabilities{SoleWriter: true}} }
	first, second, shared := sole(), sole(), &Instance{}
	fail := errors.New("no answer")
	seen := map[uint64]bool{}
	fresh := func(when string, inst *Instance) uint64 {
		t.Helper()
		v := c.version(inst)
		if v == 0 || seen[v] || v != c.version(inst) {
			t.Errorf("%s: version %d, want a new one", when, v)
		}
		seen[v] = true
		return v
	}
	none := func(when string, inst *Instance) {
		t.Helper()
		if v := c.version(inst); v != 0 {
			t.Errorf("%s: version %d, want none", when, v)
		}
	}
	appends := func(inst *Instance, err error, meanwhile ...func()) {
		t.Helper()
		if got := c.change(inst, &c.appendLost, func() error {
			for _, do := range meanwhile {
				do()
			}
			return err
		}); !errors.Is(got, err) {
			t.Errorf("outcome %v", got)
		}
	}

	none("others may write", shared)
	fresh("at first", first)
	appends(first, nil, func() { none("while an append is under way", first) })
	fresh("after an append", first)
	appends(first, fail)
	none("after an append without an answer", first)
	_ = c.change(first, &c.deleteLost, func() error { return nil })
	none("a delete says nothing of the append", first)
	appends(first, nil)
	fresh("after the append was repeated", first)
	_ = c.change(first, &c.deleteLost, func() error { return fail })
	none("after a delete without an answer", first)
	appends(first, nil)
	none("nobody knows of the delete", first)
	fresh("of another process", second)
	appends(first, fail) // of the one before, which is gone
	fresh("what a process left undone when it ended", second)
	appends(second, nil, func() {
		appends(second, nil)
		none("while one of two is under way", second)
	})
	fresh("after both", second)
}
