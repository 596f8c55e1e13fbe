package read

import (
	"container/list"
	"sync"
)

const (
	// cacheBytes is what the texts of all apps take. A text of more than cachedBytes is not
	// kept: it would push out many others, to save little of what it costs.
	cacheBytes, cachedBytes = 32 << 20, 2 << 20
	// cachedOverhead is about what a text takes beside its bytes.
	cachedOverhead = 512
)

// cache has texts that were asked for of late, with the versions that their logs had. It
// answers nothing by itself: whoever uses a text has asked the storage for the version first.
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

// cached is a text. It does not change.
type cached struct {
	asked
	version uint64
	parts   [][]byte
	size    int
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

// keep adds a text, and forgets those that were not asked for the longest.
func (c *cache) keep(t *cached) {
	if t.version == 0 || t.size > cachedBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.texts == nil {
		c.texts = map[asked]*list.Element{}
	}
	if element := c.texts[t.asked]; element != nil {
		c.remove(element)
	}
	c.texts[t.asked] = c.order.PushFront(t)
	c.bytes += t.size + cachedOverhead
	for c.bytes > cacheBytes {
		c.remove(c.order.Back())
	}
}

func (c *cache) remove(element *list.Element) {
	t := c.order.Remove(element).(*cached)
	delete(c.texts, t.asked)
	c.bytes -= t.size + cachedOverhead
}
