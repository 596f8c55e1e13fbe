package memory

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/deis/logger/sdk"
)

// TestIndex holds an index, to which logs are added and from which they go, against a map.
func TestIndex(t *testing.T) {
	for _, names := range []int{1, 31, 40, 2000} {
		t.Run(fmt.Sprint(names), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(names), 0))
			x, want := newIndex(), map[string]*log{}
			for range 20 * names {
				name := fmt.Sprint("app-", random.IntN(names))
				switch l := want[name]; {
				case l == nil:
					l = &log{name: name}
					x.add(l)
					want[name] = l
				case random.IntN(2) == 0:
					x.remove(l)
					delete(want, name)
				}
			}
			checkIndex(t, &x, want, names)
		})
	}
}

// TestIndexWrapsAround: a run of slots that goes on at the beginning of the table loses its
// logs one by one, in any order, and every search still ends at the right one.
func TestIndexWrapsAround(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		x, want := newIndex(), map[string]*log{}
		for n := 0; len(want) < leastSlots/2; n++ {
			name := fmt.Sprint("app-", n)
			if home := x.home(x.hash(name)); home > 4 && home < leastSlots-8 {
				continue
			}
			l := &log{name: name}
			x.add(l)
			want[name] = l
		}
		for name, l := range want {
			if random.IntN(8) == 0 {
				checkIndex(t, &x, want, 0)
			}
			x.remove(l)
			delete(want, name)
		}
		checkIndex(t, &x, want, 0)
	}
}

func checkIndex(t *testing.T, x *index, want map[string]*log, names int) {
	t.Helper()
	if x.n != len(want) || 2*x.n > len(x.slots) {
		t.Fatalf("%d logs in %d slots, want %d", x.n, len(x.slots), len(want))
	}
	for name, l := range want {
		if got := x.find(name); got != l {
			t.Fatalf("find(%q) is %v, want %v", name, got, l)
		}
		if got := x.likely(x.hash(name)); got != l {
			t.Fatalf("likely, for %q, is %v, want %v", name, got, l)
		}
	}
	for i := range names {
		if name := fmt.Sprint("app-", i); want[name] == nil && x.find(name) != nil {
			t.Fatalf("there is a log of %q", name)
		}
	}
	seen := 0
	for l := range x.all() {
		if want[l.name] != l {
			t.Fatalf("all yields %q", l.name)
		}
		seen++
	}
	if seen != len(want) {
		t.Fatalf("all yields %d logs, want %d", seen, len(want))
	}
}

// TestSameHash: a log whose name has the hash of another's is not taken for that.
func TestSameHash(t *testing.T) {
	s := openHeap(t, 10, 256)
	fill(t, s, "b", 1, 1)
	other := s.logs.find("b")
	s.logs.put(indexSlot{s.logs.hash("a"), other}) // as if the names had one hash
	s.logs.n++
	groups := []sdk.AppEntries{{App: "a"}, {App: "b"}}
	if got := s.logs.find("a"); got != nil {
		t.Errorf("find gives the log of %q for that of a", got.name)
	}
	if logs := s.lookUp(groups); logs[0] != nil || logs[1] != other {
		t.Errorf("lookUp gives %v, want nil and b", logs[:2])
	}
	a := &log{name: "a", slot: other.slot}
	s.logs.add(a)
	if got := s.logs.likely(s.logs.hash("a")); got != other {
		t.Errorf("likely gives %v, want b, which the test put there", got)
	}
	if got := s.logs.find("a"); got != a {
		t.Errorf("find gives %v, want a", got)
	}
	if logs := s.lookUp(groups); logs[0] != a || logs[1] != other {
		t.Errorf("lookUp gives %v, want a and b", logs[:2])
	}
}
