package sdk

import (
	"context"
	"slices"
	"testing"
)

// TestFollowers: a wake-up reaches all followers of a name and nobody else. Several wake-ups may
// count as one. Listen runs from the first follower to the last.
func TestFollowers(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	f := Followers{Listen: func(ctx context.Context) {
		began <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
	}}
	f.Wake("a") // wakes nobody
	for range 2 {
		a, leaveA := f.Join("a")
		<-began
		again, leaveAgain := f.Join("a")
		b, leaveB := f.Join("b")
		names := f.Names()
		if slices.Sort(names); !slices.Equal(names, []string{"a", "b"}) {
			t.Errorf("names %q", names)
		}
		f.Wake("c", "a")
		f.Wake("a")
		for _, c := range []<-chan struct{}{a, again} {
			if len(c) != 1 {
				t.Errorf("%d wake-ups, want 1", len(c))
			}
		}
		if len(b) != 0 {
			t.Error("a wake-up of another name")
		}
		leaveA()
		leaveB()
		<-again
		f.Wake("a", "b")
		if len(again) != 1 || len(b) != 0 {
			t.Error("after others left")
		}
		select {
		case <-ended:
			t.Error("it does not listen, and somebody follows")
		default:
		}
		leaveAgain()
		<-ended
		if names := f.Names(); len(names) != 0 {
			t.Errorf("names %q", names)
		}
	}
}
