package memory

import (
	"runtime"
	"slices"
	"testing"
)

// TestMemoryIsGivenBackAfterABurst: memory is given back once after each burst, and never during
// one.
func TestMemoryIsGivenBackAfterABurst(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		each []uint64 // bytes allocated between one look and the next
		over []int    // the looks at which a burst has ended
	}{
		"a start":       {[]uint64{20 * mb, 0, 0, 0}, []int{1}},
		"two bursts":    {[]uint64{50 * mb, 50 * mb, 100, 100, 5 * mb, 100, 100}, []int{2, 5}},
		"always busy":   {[]uint64{2 * mb, 2 * mb, 2 * mb, 2 * mb, 2 * mb, 2 * mb}, nil},
		"hardly at all": {slices.Repeat([]uint64{mb / 4}, 70), []int{15, 31, 47, 63}},
	} {
		t.Run(name, func(t *testing.T) {
			var b burst
			var over []int
			total := uint64(0)
			for i, n := range c.each {
				if total += n; b.over(total) {
					over = append(over, i)
				}
			}
			if !slices.Equal(over, c.over) {
				t.Errorf("over at %v, want %v", over, c.over)
			}
		})
	}
	before := allocated()
	runtime.KeepAlive(make([]byte, 1<<20))
	if n := allocated() - before; n < 1<<20 {
		t.Errorf("%d bytes are allocated", n)
	}
}
