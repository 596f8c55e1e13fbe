package api

import (
	"hash/maphash"
	"math"
	"strconv"

	"github.com/deis/logger/sdk"
)

// run is the rendered text of consecutive entries of an app, up to the newest one that
// was seen. All of it is under the lock of its cache, but for what of its text is
// written.
type run struct {
	app    string
	epoch  uint64
	first  uint64   // position of the first line
	starts []uint32 // where in the text each line starts
	text   *text
	print  uint64 // of the newest entry
	oldest uint64 // position of the oldest entry that was kept when last seen
	// version is the storage's of which all of this is true; 0 if none is known.
	version uint64
	asked   int // the most lines that were asked for
}

// text is what runs and excerpts share. Bytes are added and never changed.
type text struct {
	bytes []byte
	users int  // excerpts
	gone  bool // it is no run's any more
}

// newRun renders the page's entries from the one with the index on.
func newRun(app string, page *sdk.Page, from int) *run {
	entries := page.Entries[from:]
	r := &run{app: app, epoch: page.Epoch, first: page.First + uint64(from), oldest: page.Oldest, text: &text{}}
	if len(entries) == 0 {
		return r
	}
	need := 0
	for i := range entries {
		need += lineBytes + len(app) + len(entries[i].Message)
	}
	r.text.bytes = make([]byte, 0, need)
	r.starts = make([]uint32, len(entries))
	show := renderer{app: app}
	for i := range entries {
		r.starts[i] = uint32(min(len(r.text.bytes), math.MaxUint32)) // a page is far smaller
		r.text.bytes = show.append(r.text.bytes, &entries[i])
	}
	r.print = fingerprint(&entries[len(entries)-1])
	return r
}

// end is the place after the newest line.
func (r *run) end() sdk.Cursor {
	return sdk.Cursor{Epoch: r.epoch, Position: r.first + uint64(len(r.starts)) - 1}
}

// oldestOf is the position of the oldest of the newest entries, so many or all, when
// the run was last compared with the log.
func (r *run) oldestOf(limit int) uint64 {
	next := r.end().Position + 1
	if limit < 0 || next <= uint64(limit) {
		return r.oldest
	}
	return max(r.oldest, next-uint64(limit))
}

// size is about what the run takes.
func (r *run) size() int { return cap(r.text.bytes) + 4*cap(r.starts) + len(r.app) + runOverhead }

// runOverhead is about what a run takes beside its text.
const runOverhead = 512

// ask notes that so many lines are asked for, or all.
func (r *run) ask(limit int) {
	if limit < 0 {
		limit = math.MaxInt
	}
	r.asked = max(r.asked, limit)
}

// start is where in the text the line at the position starts; after the last one, the
// end.
func (r *run) start(position uint64) uint32 {
	if i := position - r.first; i < uint64(len(r.starts)) {
		return r.starts[i]
	}
	return uint32(len(r.text.bytes))
}

// extend adds the other's lines but the first few, which it has. It is false if it
// would become too large.
func (r *run) extend(other *run, skip int) bool {
	from := other.start(other.first + uint64(skip))
	add := other.text.bytes[from:]
	if len(r.text.bytes)+len(add) > cap(r.text.bytes) && !r.move(len(other.starts)-skip, len(add)) {
		return false
	}
	base := uint32(len(r.text.bytes))
	for _, start := range other.starts[skip:] {
		r.starts = append(r.starts, base+start-from)
	}
	r.text.bytes = append(r.text.bytes, add...) // excerpts end before it
	r.print = other.print
	return true
}

// move takes the lines that may still be wanted into another text, with room for some
// more. Nobody may be writing the old one: excerpts of it stay as they are.
func (r *run) move(lines, bytes int) bool {
	next := r.first + uint64(len(r.starts))
	first := max(r.first, min(r.oldest, next))
	if all := next + uint64(lines); uint64(r.asked) < all {
		first = max(first, min(all-uint64(r.asked), next))
	}
	kept := r.text.bytes[r.start(first):]
	need := len(kept) + bytes
	if need > runBytes {
		return false
	}
	room := min(need+need/4+firstText/8, runBytes)
	offset := r.start(first)
	starts := r.starts[first-r.first:]
	moved := make([]uint32, len(starts), len(starts)+lines+len(starts)/4)
	for i, start := range starts {
		moved[i] = start - offset
	}
	r.text = &text{bytes: append(make([]byte, 0, room), kept...)}
	r.starts, r.first = moved, first
	return true
}

// excerpt is the lines from the first position to the last, nil if it has not all of
// them.
func (r *run) excerpt(c *cache, first, last uint64) *excerpt {
	if first < r.first || last > r.end().Position {
		return nil
	}
	if first > last {
		return &excerpt{}
	}
	if r.text.gone && r.text.users == 0 {
		c.lingering += cap(r.text.bytes)
	}
	r.text.users++
	return &excerpt{cache: c, of: r.text, bytes: r.text.bytes[r.start(first):r.start(last+1)]}
}

var seed = maphash.MakeSeed()

// fingerprint tells an entry from any other.
func fingerprint(e *sdk.Entry) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	var buf [128]byte
	_, offset := e.Time.Zone()
	b := buf[:0]
	for _, n := range [...]int64{
		e.Time.Unix(), int64(e.Time.Nanosecond()), int64(offset), e.Published.Unix(), int64(e.Published.Nanosecond()),
		int64(e.Source), int64(e.CutBytes),
	} {
		b = append(strconv.AppendInt(b, n, 36), ' ')
	}
	_, _ = h.Write(b)
	for _, text := range [...]string{e.Process, e.Release, e.Pod, e.Stream, e.Host, e.Message} {
		_, _ = h.WriteString(text)
		_ = h.WriteByte(0xff) // which is in no text
	}
	return h.Sum64()
}
