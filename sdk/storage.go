package sdk

import (
	"context"
	"time"
)

// Storage keeps the most recent entries of each app: the NUMBER_OF_LINES that were
// published last, whatever order they arrived in.
//
// All methods may be called concurrently, except that Append is called by one caller at a time per
// writer. All honour ctx. An error that wraps [ErrInvalid] means that the call can never succeed.
// After [ErrUnavailable] or any other error, the same call may succeed later.
//
// A Storage that is also an [io.Closer] is closed when the plugin shuts down,
// after the last call returned.
type Storage interface {
	// Append stores the entries of the batch and returns nil only when all are stored. The entries
	// of an app come in the order of publishing. They get the app's next positions, in any order
	// among themselves. An entry that is older than everything kept may be dropped at once, but it
	// still takes a position.
	//
	// After an error, or when it did not learn the outcome, the host calls Append again with the
	// same batch, until it returns nil. What an earlier try stored MUST NOT be stored again. A
	// storage decides that for each app: it ignores a batch whose sequence is not above the highest
	// that it stored whole for the batch's writer. If it stored only a part of a batch, it stores
	// the rest. [Marks] keep account of that. The host may repeat a batch with some of its apps
	// only, and then with the others.
	//
	// If a batch can never be stored, Append stores nothing of it and returns [ErrInvalid]. The
	// host then looks for the culprit with smaller batches.
	//
	// The slices of the batch are the caller's again when Append returns. Its strings
	// share one buffer: a storage that retains one retains all of them, and so copies
	// what it keeps in memory.
	Append(ctx context.Context, batch Batch) error

	// Read answers entries of one app; see [ReadOptions]. For an app without entries it returns an
	// empty page and no error.
	Read(ctx context.Context, opts ReadOptions) (Page, error)

	// Delete forgets the entries of an app and wakes its followers. If the app has no log, that is
	// no error. Entries that are appended later belong to a new epoch.
	Delete(ctx context.Context, app string) error
}

// ReadOptions say what a [Storage.Read] wants.
//
//   - With a zero After, Read answers the newest Limit entries, in the order of publishing. If
//     Before is not zero, Read considers only entries that come before its place in that order and
//     whose positions are not above its Position.
//   - With a plain After, Read answers the first Limit entries whose positions are above
//     After.Position, in the order of arrival: all that are kept, and maybe some that
//     are no longer among the newest NUMBER_OF_LINES and are not deleted yet. A cursor of another
//     epoch comes before everything.
//   - With an After inside a history (see [Cursor.InHistory]), Read answers the first Limit entries
//     of that history that come after its place, in the order of publishing. Once there are none,
//     Read answers as for the plain cursor. A page never holds entries of both kinds. A cursor of
//     another epoch comes before everything.
type ReadOptions struct {
	App string
	// Limit is the most entries to answer. Negative means all. With 0 the page has no entries, but
	// still Epoch, Last and Version. A storage never allocates memory by it.
	Limit         int
	After, Before Cursor
	// Filter says which entries count for Limit. The SDK applies it to what a storage answers, so a
	// storage may ignore it. With a zero After, or one inside a history, a storage may leave out
	// entries that do not pass; a storage with an index should, since the SDK otherwise reads every
	// entry.
	Filter Filter
	// OmitMessages says that the caller needs no messages: entries may come with an empty Message,
	// or with their own. The SDK sends no messages over the wire then, so a storage may ignore the
	// field. The SDK never sets it for a storage together with a Filter that matches messages.
	OmitMessages bool
}

// Page holds what one [Storage.Read] answers. Each of its entries has its Position.
type Page struct {
	// Epoch is the life of the log; 0 for an app that has no log.
	Epoch uint64
	// Last is the position of the log's last entry at the moment of the read, whether it is still
	// kept or not; 0 if there never was one.
	Last    uint64
	Entries []Entry
	// More says that another Read from Next on finds more entries. In a page of the newest entries,
	// it means that the page has fewer than Limit although older ones are there. In a page after a
	// cursor, it means that more follow. A page with More may be empty.
	More bool
	// Next is where the next Read goes on: its After, or its Before in a read of the newest
	// entries. A storage that sets More whenever its page ends early may leave Next zero. The SDK
	// then sets Next: to the place of the page's last entry (in a read of the newest entries, of
	// its first), or to the log's end if no more follow.
	Next Cursor
	// Gone counts the entries with positions between After's and Next's that are no longer kept.
	// The SDK sets it; the storage leaves it 0.
	Gone uint64
	// Version is the number that [Versioner] has for the app; 0 if the storage does not say.
	Version uint64
	// Work is the processor time that a read with a filter took. The SDK sets it. A host adds
	// it up, so that one search takes no more than its share.
	Work time.Duration
}

// End returns the cursor after everything that the log had at the moment of the read.
func (p *Page) End() Cursor {
	if p.Epoch == 0 {
		return Cursor{}
	}
	return Cursor{Epoch: p.Epoch, Position: p.Last}
}

// Follower is a [Storage] that can report entries as they arrive. The host polls Read on a storage
// that is no Follower.
type Follower interface {
	// Follow calls yield with page after page of what arrives after the cursor, as Read would
	// answer it. With a zero cursor it begins after everything that the log has now. Follow also
	// yields a page without entries:
	//
	//   - when the log's last position is before the cursor's: the storage lost what was there.
	//     Follow goes on from the page's end.
	//   - when the log is of another epoch than the cursor, or is gone. Follow goes on from the
	//     beginning of whatever log comes next.
	//   - when entries arrived and none of them is kept.
	//
	// Follow returns when ctx ends, when yield fails (with that error), or when it cannot
	// go on.
	Follow(ctx context.Context, app string, after Cursor, yield func(Page) error) error
}

// Versioner is a [Storage] that can say cheaply whether logs have changed.
type Versioner interface {
	// Versions returns a number for each app, in the order of apps. As long as an app's number
	// stays the same and is not 0, a Read of that app with a zero After has the same answer. 0
	// means that the storage does not know, or that the app has no log.
	Versions(ctx context.Context, apps []string) ([]uint64, error)
}

// AppLister is a [Storage] that can say which apps have entries.
type AppLister interface {
	// Apps lists the apps that have entries and whose names come after the given one, in the order
	// of their names. It lists at most limit of them; if limit is 0, the storage chooses how many.
	// An empty list is the end; a list that is shorter than limit need not be.
	Apps(ctx context.Context, after string, limit int) ([]AppInfo, error)
	// App returns what the storage keeps of one app. For an app without entries, Entries is 0 and
	// there is no error.
	App(ctx context.Context, app string) (AppInfo, error)
	// Totals sums up all apps, without looking at each of them.
	Totals(ctx context.Context) (Totals, error)
}

// AppInfo tells what a storage keeps of one app.
type AppInfo struct {
	App     string
	Entries uint64
	// Last is the position of the last entry, which is the number of entries that the epoch ever
	// had. So Last - Entries are gone.
	Last uint64
	// Bytes is how much room the entries take where they are kept.
	Bytes uint64
	// Oldest and Newest are the publish times of the oldest and the newest entry.
	Oldest, Newest time.Time
}

// Totals sums up all apps of a storage: what it keeps now, and what it ever stored. Stored is
// Entries, Evicted and Deleted together.
type Totals struct {
	Apps, Entries, Bytes uint64
	// Stored counts all entries that were ever appended.
	Stored uint64
	// Evicted counts entries that newer ones pushed out, and those of apps that got no line for
	// LOGGER_APP_RETENTION.
	Evicted uint64
	// Deleted counts entries that were still kept when their log was deleted.
	Deleted uint64
}

// Checker is a [Storage] or [Aggregator] that can say whether its backend answers.
type Checker interface {
	// Check returns nil if the plugin can do its work now, or else an error of one line that names
	// the culprit. It answers within a second.
	Check(ctx context.Context) error
}
