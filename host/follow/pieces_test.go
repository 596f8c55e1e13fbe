package follow

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/deis/logger/sdk"
)

// TestFollowedPieces: a follower gets a line once its last piece arrives, or after 5 s as it is.
func TestFollowedPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		h := newHub(t, s)
		f := follow(t, h, sdk.Beginning())
		add := func(container, text string, partial bool) {
			s.Add("foo", sdk.Entry{Container: container, Message: text, Partial: partial, Published: time.Now()})
		}
		next := func() (text string, after time.Duration) {
			t.Helper()
			for began := time.Now(); ; {
				b, err := f.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for i := range b.Entries {
					text += b.Entries[i].Message + " "
				}
				if text != "" {
					return text, time.Since(began)
				}
			}
		}
		for _, live := range []bool{false, true} {
			add("a", "1", true)
			add("b", "2", false)
			if text, took := next(); text != "2 " || took > 0 {
				t.Errorf("live %t: %s after %s", live, text, took)
			}
			add("a", "3", false)
			if text, took := next(); text != "13 " || took > 0 {
				t.Errorf("live %t: %s after %s", live, text, took)
			}
			add("a", "4", true)
			if text, took := next(); text != "4 " || took != 5*time.Second {
				t.Errorf("live %t: %s after %s", live, text, took)
			}
			if at := f.At(); at.Open != "" {
				t.Errorf("live %t: at %s", live, at)
			}
		}
	})
}
