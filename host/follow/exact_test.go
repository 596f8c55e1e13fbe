package follow

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

// TestExactlyOnceThroughTheHub cuts followers off anywhere, and resumes them at the place of their
// last record, while a writer's lines come late and are evicted. Each follower gets each line once,
// or counted in a gap.
func TestExactlyOnceThroughTheHub(t *testing.T) {
	const total, kept = 4000, 150
	seed := rand.Uint64()
	if text := os.Getenv("TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("TEST_SEED=%d", seed)
	for _, polled := range []bool{false, true} {
		s := &fake{&storagefake.Storage{Lines: kept, Page: 30, Polled: polled}}
		h, stop := runHub(t, s, func(o *Options) { o.BufferEntries = 200 })
		var all sync.WaitGroup
		var written atomic.Bool
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, 0))
			for n := 1; n <= total; {
				var entries []sdk.Entry
				for range 1 + random.IntN(10) {
					at := time.Unix(int64(n), 0)
					if random.IntN(5) == 0 {
						at = at.Add(-time.Duration(random.IntN(2*kept)) * time.Second)
					}
					if entries = append(entries, sdk.Entry{Message: fmt.Sprint(n), Published: at}); n == total {
						break
					}
					n++
				}
				s.Add("foo", entries...)
				<-time.After(time.Duration(random.IntN(500)) * time.Microsecond)
				if len(entries) > 0 && entries[len(entries)-1].Message == fmt.Sprint(total) {
					break
				}
			}
			written.Store(true)
		})
		for i := range 8 {
			all.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(i)+1))
				got := map[string]int{}
				place := read.Place{}
				var gone uint64
				for {
					f, err := h.Follow("foo", place)
					if err != nil {
						t.Error(err)
						return
					}
					end := followSome(t, f, random, got, &gone, &place)
					f.Close()
					if end && written.Load() {
						break
					}
				}
				for line, times := range got {
					if times != 1 {
						t.Errorf("polled %t, follower %d: line %s came %d times", polled, i, line, times)
					}
				}
				_, last, _ := s.Kept("foo")
				if uint64(len(got))+gone != last {
					t.Errorf("polled %t, follower %d: %d lines came, %d were told missing, of %d", polled, i, len(got), gone, last)
				}
			})
		}
		all.Wait()
		stop()
	}
}

// followSome follows for some records. It returns true if nothing came for a while.
func followSome(t *testing.T, f *Follower, random *rand.Rand, got map[string]int, gone *uint64, place *read.Place) (end bool) {
	for most := random.IntN(400); most > 0; {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		b, err := f.Next(ctx)
		cancel()
		if err != nil {
			return true
		}
		for _, gap := range b.Gaps {
			if !gap.Exact {
				t.Errorf("gap %+v", gap)
			}
			*gone += gap.Count
			*place = gap.To
			if most--; most == 0 {
				return false
			}
		}
		for i := range b.Entries {
			got[b.Entries[i].Message]++
			*place = b.Place(i)
			if most--; most == 0 {
				return false
			}
		}
		*place = b.End
		if text, err := read.ParsePlace(place.String()); err != nil || text != *place {
			t.Errorf("place %+v is read as %+v, %v", *place, text, err)
		}
		if random.IntN(10) == 0 {
			<-time.After(time.Duration(random.IntN(20)) * time.Millisecond) // a slow reader
		}
	}
	return false
}
