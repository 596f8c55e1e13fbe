package v1

import (
	"testing"
	"time"

	"github.com/deis/logger/sdk"
)

// piece returns an entry of a container. If its text ends in a plus sign, the entry is a piece of a
// line.
func piece(container, text string) sdk.Entry {
	e := sdk.Entry{Time: epochStart, Published: time.Now(), Container: container, Message: text}
	if last := len(text) - 1; text[last] == '+' {
		e.Message, e.Partial = text[:last], true
	}
	return e
}

// TestTailOfPieces: a line comes once, when its last piece has come, also through filters and for a
// client that resumes between two pieces. If the last piece does not come, the line comes as it is
// after 5 s.
func TestTailOfPieces(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", piece("a", "nee+"), piece("b", "x+"), piece("c", "first"))
	all := r.tail("/v1/apps/foo/tail?format=ndjson")
	first := all.record()
	if first["message"] != "first" {
		t.Fatalf("got %v", first)
	}
	all.record() // the heartbeat
	needles := r.tail("/v1/apps/foo/tail?include=^needle$&lines=0&after=" + first["cursor"].(string))
	r.storage.Add("foo", piece("a", "dle"), piece("c", "other"))
	var cut string
	for _, want := range []string{"needle", "other"} {
		rec := all.record()
		if rec["message"] != want || rec["partial"] != nil {
			t.Errorf("got %v, want %s", rec, want)
		}
		cut = rec["cursor"].(string)
	}
	needles.want("foo: needle")
	_ = all.resp.Body.Close()
	began := time.Now()
	resumed := r.tail("/v1/apps/foo/tail?format=ndjson&after=" + cut)
	for rec := resumed.record(); ; rec = resumed.record() {
		if rec["type"] == "heartbeat" {
			continue
		}
		if took := time.Since(began); rec["message"] != "x" || rec["partial"] != true || took > 20*time.Second {
			t.Errorf("after %s: %v", took, rec)
		}
		cut = rec["cursor"].(string)
		break
	}
	_ = resumed.resp.Body.Close()
	r.storage.Add("foo", piece("b", "y"))
	if rec := r.tail("/v1/apps/foo/tail?format=ndjson&after=" + cut).record(); rec["message"] != "y" {
		t.Errorf("behind a line that came as it is: %v", rec)
	}
}
