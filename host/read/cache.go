package read

import (
	"container/list"
	"strings"
	"sync"

	"github.com/deis/logger/sdk"
)

const (
	// cacheBytes is what the texts of all apps take. A text of more than cachedBytes is not
	// kept: it would push out many others, to save little of what it costs.
	cacheBytes, cachedBytes = 32 << 20, 2 << 20
	// cachedOverhead is about what a text takes beside its bytes.
	cachedOverhead = 512
)

// cache has texts that were asked for of late, with the versions that their logs had. It
// answers nothing by itself: [Reader.Text] uses a text only as the storage confirms it.
type cache struct {
	mu    sync.Mutex
	texts map[asked]*list.Element
	order list.List // of *cached, the one that was asked for last in front
	bytes int
}

// asked is what a text answers.
type asked struct {
	app   string
	lines int
}

// cached is a text and what was found to make it. It does not change.
type cached struct {
	asked
	found newest
	text  part
	// arrived is about how many entries come between two reads of the text: as many as came since
	// it was read before, or a quarter of what this was then, for what comes in bursts.
	arrived uint64
}

// bytes returns about how much memory the text takes.
func (t *cached) bytes() int {
	return len(t.text.bytes) + 8*len(t.text.ends) + len(t.found.last.Message) + cachedOverhead
}

// get gives the text that the cache has, or nil.
func (c *cache) get(of asked) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.texts[of]
	if element == nil {
		return nil
	}
	c.order.MoveToFront(element)
	return element.Value.(*cached)
}

// keep adds a text in the place of the one before, if there was one, and forgets those that were
// not asked for the longest.
func (c *cache) keep(t, before *cached) {
	if before != nil && t.found.end.Epoch == before.found.end.Epoch && t.found.end.Position > before.found.end.Position {
		t.arrived = t.found.end.Position - before.found.end.Position
	}
	if before != nil {
		t.arrived = max(t.arrived, before.arrived/4)
	}
	if t.found.version == 0 || len(t.text.bytes) > cachedBytes {
		return
	}
	t.found.spans, t.found.text = nil, nil
	last := &t.found.last // of a page, all of which its strings would retain
	t.found.last = sdk.Entry{Position: last.Position, Published: last.Published, Message: strings.Clone(last.Message)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.texts == nil {
		c.texts = map[asked]*list.Element{}
	}
	if element := c.texts[t.asked]; element != nil {
		c.remove(element)
	}
	c.texts[t.asked] = c.order.PushFront(t)
	c.bytes += t.bytes()
	for c.bytes > cacheBytes {
		c.remove(c.order.Back())
	}
}

func (c *cache) remove(element *list.Element) {
	t := c.order.Remove(element).(*cached)
	delete(c.texts, t.asked)
	c.bytes -= t.bytes()
}
