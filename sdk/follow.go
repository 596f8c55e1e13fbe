package sdk

import (
	"context"
	"fmt"
	"math"
)

// Beginning is a cursor before everything that any log has, also one that has not
// begun: what is read or followed after it is all that is kept.
func Beginning() Cursor { return Cursor{Epoch: math.MaxUint64} }

// followedPage is the most entries that [FollowByReading] asks for at once.
const followedPage = 1000

// FollowByReading is a [Follower.Follow] made of reads: it reads on whenever wake
// says so, until nothing is left. A storage whose backend can tell of appends calls
// it with a channel of capacity one that gets a value, if it has room for one, after
// each append to the app. What was appended before the channel was in place is found
// by the first read, so nothing is lost between the two. A spurious wake-up costs one
// read.
//
// It returns an error that wraps [ErrUnavailable] when wake is closed, which is how
// the caller says that there will be no wake-ups any more.
func FollowByReading(ctx context.Context, storage interface {
	Read(ctx context.Context, opts ReadOptions) (Page, error)
}, app string, after Cursor, wake <-chan struct{}, yield func(Page) error,
) error {
	if after.IsZero() {
		end, err := storage.Read(ctx, ReadOptions{App: app})
		if err != nil {
			return err
		}
		if after = end.End(); after.IsZero() {
			after = Beginning()
		}
	}
	for {
		page, err := storage.Read(ctx, ReadOptions{App: app, Limit: followedPage, After: after})
		if err != nil {
			return err
		}
		if len(page.Entries) > 0 {
			if err := yield(page); err != nil {
				return err
			}
			after = page.End()
			if page.More || len(page.Entries) >= followedPage {
				continue
			}
		} else if page.Before(after) {
			if err := yield(page); err != nil {
				return err
			}
			after = page.End()
			continue
		}
		select {
		case _, more := <-wake:
			if !more {
				return fmt.Errorf("nothing tells of what is appended to %q any more: %w", app, ErrUnavailable)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
