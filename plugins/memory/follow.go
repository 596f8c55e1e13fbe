package memory

import (
	"context"

	"github.com/deis/logger/sdk"
)

// Follow implements [sdk.Follower]: it sleeps until an append, a delete or Close wakes it.
func (s *storage) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	wake, leave := s.followers.Join(app)
	defer leave()
	return sdk.FollowByReading(ctx, s, app, after, wake, yield)
}
