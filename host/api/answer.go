package api

import (
	"net/http"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// answer is the rendered text of one request, in as many parts as the storage had
// pages: parts never move, so a large one costs no copies.
type answer struct {
	parts []*[]byte
	size  int
	free  func() // what else release does; may be nil
}

const (
	// sendBytes is how much is sent before the client gets more time.
	sendBytes = 256 << 10
	// lineBytes is what a line takes beside its message, as near as it need be told.
	lineBytes = 64
	// firstText and largestText bound what of a part is kept to be used again.
	firstText, largestText = 32 << 10, 2 << 20
)

var texts = sync.Pool{New: func() any {
	b := make([]byte, 0, firstText)
	return &b
}}

// add renders the page.
func (a *answer) add(app string, page *sdk.Page) {
	if len(page.Entries) == 0 {
		return
	}
	need := 0
	for i := range page.Entries {
		need += lineBytes + len(page.Entries[i].Message)
	}
	part := texts.Get().(*[]byte)
	if cap(*part) < need {
		*part = make([]byte, 0, need)
	}
	r := renderer{app: app}
	for i := range page.Entries {
		*part = r.append(*part, &page.Entries[i])
	}
	a.parts = append(a.parts, part)
	a.size += len(*part)
}

// release ends the use of the answer.
func (a *answer) release() {
	for _, part := range a.parts {
		if cap(*part) <= largestText {
			*part = (*part)[:0]
			texts.Put(part)
		}
	}
	a.parts = nil
	if a.free != nil {
		a.free()
	}
}

// send writes the answer. What is larger than sendBytes goes in steps, each of which
// has the whole write timeout: a slow client that goes on reading gets all, one that
// stopped is let go.
func (a *answer) send(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	for _, part := range a.parts {
		for text := *part; len(text) > 0; {
			step := text[:min(len(text), sendBytes)]
			if a.size > sendBytes { // else the request's own timeout does
				// A writer without deadlines (a test's) has none to extend.
				_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
			}
			if _, err := w.Write(step); err != nil {
				return // the client left
			}
			text = text[len(step):]
		}
	}
}
