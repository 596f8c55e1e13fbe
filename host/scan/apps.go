package scan

import (
	"context"
	"time"

	"github.com/deis/logger/sdk"
)

// ClockSkew is how far ahead the clock of a node may be, which gives lines their times, of that
// which says when they were published. A line with a time that is further ahead may be missing
// where lines are looked for by their times.
const ClockSkew = 10 * time.Second

// appsPage is how many apps are asked for at once.
const appsPage = 1000

// Lister is a storage that lists its apps.
type Lister interface {
	Apps(ctx context.Context, after string, limit int) ([]sdk.AppInfo, error)
}

// Apps asks the storage for the apps that takes is true of, and that have lines at or after since.
func Apps(ctx context.Context, storage Lister, takes func(app string) bool, since time.Time) (infos []sdk.AppInfo, err error) {
	for after := ""; ; {
		page, err := storage.Apps(ctx, after, appsPage)
		if err != nil || len(page) == 0 {
			return infos, err
		}
		for _, info := range page {
			if takes(info.App) && (info.Newest.IsZero() || !info.Newest.Add(ClockSkew).Before(since)) {
				infos = append(infos, info)
			}
		}
		after = page[len(page)-1].App
	}
}
