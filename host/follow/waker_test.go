package follow

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// TestManyFollowersHoldUpNobody: while very many followers have something to send, other goroutines
// still get the processor, such as those that fetch the next lines.
func TestManyFollowersHoldUpNobody(t *testing.T) {
	const followers, most = 1000, 150
	s := newFake()
	s.add(1)
	h, stop := runHub(t, s)
	var taken, live atomic.Int64
	var ended sync.WaitGroup
	defer ended.Wait()
	defer stop()
	for range followers {
		f := follow(t, h, sdk.Beginning())
		ended.Go(func() {
			for isLive := false; ; {
				b, err := f.Next(t.Context())
				if err != nil {
					return
				}
				taken.Add(int64(len(b.Entries)))
				if f.Live() && !isLive {
					isLive = true
					live.Add(1)
				}
			}
		})
	}
	testwait.Within(t, 20*time.Second, "all are live", func() bool { return live.Load() == followers })
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s.add(1)
	for turns := 5; turns > 0; runtime.Gosched() {
		if taken.Load() > followers {
			turns--
		}
	}
	if n := taken.Load() - followers; n > most {
		t.Errorf("%d followers went ahead in five turns of a goroutine, want at most %d", n, most)
	}
	testwait.Within(t, 20*time.Second, "all have the line", func() bool { return taken.Load() == 2*followers })
}
