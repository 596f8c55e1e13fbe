package follow

import (
	"errors"
	"sync"
	"testing"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// TestJoinWhileTheHubStops begins followers just as the hub waits for its goroutines. The race
// detector watches.
func TestJoinWhileTheHubStops(t *testing.T) {
	for range 300 {
		h, stop := runHub(t, newFake())
		var followers sync.WaitGroup
		for range 4 {
			f, err := h.Follow("foo", read.Place{Cursor: sdk.Beginning()})
			if err != nil {
				t.Fatal(err)
			}
			followers.Go(func() {
				defer f.Close()
				for {
					if _, err := f.Next(t.Context()); err != nil {
						if !errors.Is(err, sdk.ErrStopping) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		stop()
		followers.Wait()
	}
}
