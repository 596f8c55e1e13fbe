package plugin

import (
	"time"

	"github.com/deis/logger/sdk"
)

// call makes a call on the storage that serves now, and tells the supervisor how it went. It
// fails at once with a [*DownError] while no process serves. A plugin that answers against
// the contract ([sdk.ErrContract]) is ended.
func (s *Supervisor) call(kind Call, do func(*sdk.RemoteStorage) error) error {
	inst, err := s.Current()
	if err != nil {
		return err
	}
	began := time.Now()
	err = do(sdk.NewRemoteStorage(inst.Conn))
	s.Observe(inst, kind, began, err)
	return err
}

// checkPage refuses, with [sdk.ErrContract], a page that no storage may answer: a reader that went
// on from it would read for ever, or count entries that cannot exist.
func checkPage(o *sdk.ReadOptions, page *sdk.Page) error {
	n := len(page.Entries)
	if o.Limit >= 0 && n > o.Limit {
		return sdk.Breach("the storage plugin answers %d entries where %d were asked for", n, o.Limit)
	}
	if err := checkEntries(page); err != nil {
		return err
	}
	from := o.After
	if from.IsZero() {
		from = o.Before
	}
	if page.More && o.Limit != 0 && (page.Next.IsZero() || page.Next == from) {
		return sdk.Breach("the storage plugin answers that there is more, and goes on from where the read began")
	}
	return nil
}

func checkEntries(page *sdk.Page) error {
	if page.Epoch == 0 && (len(page.Entries) > 0 || page.More) {
		return sdk.Breach("the storage plugin answers %d entries of a log without an epoch", len(page.Entries))
	}
	for i := range page.Entries {
		if page.Entries[i].Position == 0 {
			return sdk.Breach("the storage plugin answers an entry without a position")
		}
	}
	return nil
}

// mostIdle bounds how many pages in a row may say nothing.
const mostIdle = 1000

// followed checks the pages of one Follow, which began at the cursor.
type followed struct {
	at   sdk.Cursor
	idle int
}

// check does what [checkPage] does, for the next page. It also refuses a storage that yields pages
// for ever which say nothing.
func (f *followed) check(page *sdk.Page) error {
	if err := checkEntries(page); err != nil {
		return err
	}
	if len(page.Entries) > 0 || page.Next != f.at {
		f.at, f.idle = page.Next, 0
		return nil
	}
	if f.idle++; f.idle > mostIdle {
		return sdk.Breach("the storage plugin yields pages that say nothing, one after the other")
	}
	return nil
}

// checkApps refuses a list of apps that cannot be continued: its last name must come after the name
// that was asked for.
func checkApps(after string, apps []sdk.AppInfo) error {
	if n := len(apps); n > 0 && apps[n-1].App <= after {
		return sdk.Breach("the storage plugin lists app %.80q as one that comes after %.80q", apps[n-1].App, after)
	}
	return nil
}
