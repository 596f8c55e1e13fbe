package scan

import (
	"context"
	"time"

	"github.com/deis/logger/sdk"
)

// ClockSkew bounds how far the clock that gives lines their own times may be ahead of the clock
// that gives their publish times. If a line's own time is further ahead, a search by time may miss
// the line.
const ClockSkew = 10 * time.Second

// appsPage is the number of apps that are requested at once.
const appsPage = 1000

// Lister has the calls of a storage that list its apps.
type Lister interface {
	Apps(ctx context.Context, after string, limit int) ([]sdk.AppInfo, error)
}

// Apps asks the storage for the apps for which takes returns true and that have lines at or after
// since.
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
