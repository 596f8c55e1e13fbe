package api

import (
	"net/http"
	"sync"

	"github.com/deis/logger/sdk"
)

// answer is the rendered text of one request, in as many parts as the storage had
// pages: parts never move, so a large one costs no copies.
type answer struct {
	parts []*[]byte
	size  int
	held  int // bytes that the parts take
	hold  *hold
}

const (
	// sendBytes is how much is sent before the client gets more time.
	sendBytes = 256 << 10
	// lineBytes is what a line takes beside its message, as near as it need be told.
	lineBytes = 64
	// firstText is what a part has at first; one of smallText is not used for a small
	// answer, which a slow client may hold for long, and of one that is larger than
	// largestText nothing is kept.
	firstText, smallText, largestText = 32 << 10, 64 << 10, 2 << 20
)

// smallTexts and largeTexts have parts to be used again.
var smallTexts, largeTexts sync.Pool

// newText is an empty part with about that room.
func newText(need int) *[]byte {
	pool := &largeTexts
	if need <= smallText {
		pool, need = &smallTexts, max(need, firstText)
	}
	part, _ := pool.Get().(*[]byte)
	if part == nil {
		part = new([]byte)
	}
	if cap(*part) < need {
		*part = make([]byte, 0, need)
	}
	return part
}

func putText(part *[]byte) {
	*part = (*part)[:0]
	switch {
	case cap(*part) <= smallText:
		smallTexts.Put(part)
	case cap(*part) <= largestText:
		largeTexts.Put(part)
	}
}

// add renders the page.
func (a *answer) add(app string, page *sdk.Page) {
	if len(page.Entries) == 0 {
		return
	}
	need := 0
	for i := range page.Entries {
		need += lineBytes + len(page.Entries[i].Message)
	}
	part := newText(need)
	r := renderer{app: app}
	for i := range page.Entries {
		*part = r.append(*part, &page.Entries[i])
	}
	a.parts = append(a.parts, part)
	a.size += len(*part)
	a.held += cap(*part)
}

// clear makes it empty. What it may hold is not changed.
func (a *answer) clear() {
	for _, part := range a.parts {
		putText(part)
	}
	a.parts, a.size, a.held = nil, 0, 0
}

// release ends the use of the answer.
func (a *answer) release() {
	a.clear()
	if a.hold != nil {
		a.hold.close()
		a.hold = nil
	}
}

// send writes the answer, and lets go what is sent. What is larger than sendBytes goes
// in steps, each of which extends the time that the request has: a slow client that
// goes on reading at a fair pace gets all, one that does not is let go.
func (a *answer) send(w http.ResponseWriter) {
	a.hold.send(http.NewResponseController(w))
	sent, large := 0, a.size > sendBytes
	for len(a.parts) > 0 {
		part := a.parts[0]
		for text := *part; len(text) > 0; {
			step := text[:min(len(text), sendBytes)]
			if large { // else the request's own timeout does
				a.hold.step(sent, len(step))
			}
			if _, err := w.Write(step); err != nil {
				return // the client left
			}
			sent += len(step)
			text = text[len(step):]
		}
		a.parts = a.parts[1:]
		a.held -= cap(*part)
		putText(part)
		if large {
			a.hold.set(a.held)
		}
	}
}
