package plugin

import "sync"

// changes number the states of a storage, for as long as they can be told apart from here:
// of a plugin that promised to be the sole writer of its logs ([sdk.SoleWriter]), whose
// every change comes through the view that this is a part of.
type changes struct {
	mu   sync.Mutex
	last uint64
	inst *Instance // that last is about
	// changing counts the appends and deletes under way.
	changing int
	// appendLost says that the last append ended without success, and deleteLost that some
	// delete did: it may still do something. An append is repeated until it succeeds, and
	// then its earlier tries have nothing left to do; of a delete nobody knows.
	appendLost, deleteLost bool
}

// version is the number of what the instance keeps; 0 is none, for now or ever.
func (c *changes) version(inst *Instance) uint64 {
	if !inst.Capabilities.SoleWriter {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.meet(inst)
	if c.changing > 0 || c.appendLost || c.deleteLost {
		return 0
	}
	return c.last
}

// change does an append or a delete, and notes in lost if it failed: appendLost, or
// deleteLost.
func (c *changes) change(inst *Instance, lost *bool, do func() error) error {
	c.mu.Lock()
	c.meet(inst)
	c.changing++
	c.mu.Unlock()
	err := do()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changing--
	c.last++
	switch {
	case c.inst != inst: // what an earlier process left undone it will never do
	case err != nil:
		*lost = true
	case lost == &c.appendLost:
		c.appendLost = false
	}
	return err
}

// meet notes that another process serves now.
func (c *changes) meet(inst *Instance) {
	if c.inst != inst {
		c.inst, c.appendLost, c.deleteLost = inst, false, false
		c.last++
	}
}
