package memory

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
)

// TestLargeReadsAreFew starts as many large reads as may run at once. Another one waits as long as
// its caller does. Small reads do not wait.
func TestLargeReadsAreFew(t *testing.T) {
	s := openHeap(t, 100_000, 64<<10)
	for i := 1; i <= 2000; i += 100 {
		var group []sdk.Entry
		for j := range 100 {
			group = append(group, small(i+j, 200))
		}
		if err := s.Append(t.Context(), batchOf("w", uint64(i), "foo", group...)); err != nil {
			t.Fatal(err)
		}
	}
	for range largeReads {
		s.reads <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Read(ctx, sdk.ReadOptions{App: "foo", Limit: -1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a large read: %v, want it to wait", err)
	}
	for _, opts := range []sdk.ReadOptions{{App: "foo", Limit: 100}, {App: "foo"}, {App: "bar", Limit: -1}} {
		if _, err := s.Read(t.Context(), opts); err != nil {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	for range largeReads {
		<-s.reads
	}
	if page, err := s.Read(t.Context(), sdk.ReadOptions{App: "foo", Limit: -1}); err != nil || len(page.Entries) < 1000 {
		t.Errorf("%d entries, %v", len(page.Entries), err)
	}
}
