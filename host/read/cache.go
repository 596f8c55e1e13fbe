package read

import (
	"container/list"
	"strings"
	"sync"

	"github.com/deis/logger/sdk"
)

const (
	// cacheBytes bounds what the texts of all apps take together. A text of more than cachedBytes
	// is not kept: it would push out many others, and save little of what it costs.
	cacheBytes, cachedBytes = 32 << 20, 2 << 20
	// cachedOverhead is about how many bytes a text takes beside its own.
	cachedOverhead = 512
)

// cache holds texts that were asked for recently, with the versions that their logs had. It answers
// nothing by itself: [Logs.OpenText] uses a text only as far as the storage confirms it.
type cache struct {
	mu    sync.Mutex
	texts map[asked]*list.Element
	order list.List // of *cached; the one that was asked for last is in front
	bytes int
}

// asked identifies the question that a text answers.
type asked struct {
	app   string
	lines int
}

// cached holds a text, with what was found to make it. It does not change.
type cached struct {
	asked
	found newestLines
	text  part
	// arrived estimates how many entries come between two reads of the text: as many as came since
	// the last read, but at least a quarter of the last estimate, since entries come in bursts.
	arrived uint64
}

// bytes returns about how much memory the text takes.
func (t *cached) bytes() int {
	return len(t.text.bytes) + 8*len(t.text.ends) + len(t.found.last.Message) + cachedOverhead
}

// get returns the text from the cache, or nil.
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

// keep adds a text in the place of the one before, if there was one. If the cache is full, it
// forgets the texts that were not asked for the longest.
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
	last := &t.found.last // its strings would retain the whole page
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
