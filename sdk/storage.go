package sdk

import (
	"context"
	"time"
)

// Storage keeps the most recent entries of each app: the NUMBER_OF_LINES that were
// published last, whatever order they arrived in.
//
// All methods may be called concurrently, except that Append is called by one
// caller at a time per writer. All honour ctx. An error that wraps [ErrInvalid] is
// about the call itself; [ErrUnavailable] and anything else mean that the same
// call may succeed later.
//
// A Storage that is also an [io.Closer] is closed when the plugin shuts down,
// after the last call returned.
type Storage interface {
	// Append stores the entries of the batch and returns nil only when all are stored.
	// The entries of an app come in the order of publishing. They get the app's next
	// positions, in any order among themselves. Entries that are older than all that
	// is kept may be gone at once; they have had a position all the same.
	//
	// After an error, or when the outcome got lost, the host calls Append again with the same
	// batch, until it returns nil. What an earlier try stored MUST NOT be stored again. A storage
	// decides that for each app: it ignores a batch whose sequence is not above the highest that
	// it stored whole for the batch's writer. If it stored only a part of a batch, it stores the
	// rest. [Marks] keep account of that. The host may repeat a batch with some of its apps only,
	// and then with the others.
	//
	// If a batch can never be stored, Append stores nothing of it and returns [ErrInvalid]. The
	// host then looks for the culprit with smaller batches.
	//
	// The slices of the batch are the caller's again when Append returns. Its strings
	// share one buffer: a storage that retains one retains all of them, and so copies
	// what it keeps in memory.
	Append(ctx context.Context, batch Batch) error

	// Read answers entries of one app; see [ReadOptions]. An app without entries is an
	// empty page and no error.
	Read(ctx context.Context, opts ReadOptions) (Page, error)

	// Delete forgets the entries of an app and wakes whoever follows it. Absence is no
	// error. Entries that are appended later belong to a new epoch.
	Delete(ctx context.Context, app string) error
}

// ReadOptions say what a [Storage.Read] wants.
//
//   - With a zero After, Read answers the newest Limit entries, in the order of
//     publishing. If Before is not zero, only entries that come before its place in that
//     order, and that arrived up to its Position, count.
//   - With a plain After, Read answers the first Limit entries whose positions are above
//     After.Position, in the order of arrival: all that are kept, and maybe some that
//     have left the window and are not deleted yet. A cursor of another epoch comes
//     before everything.
//   - With an After inside a history (see [Cursor.InHistory]), Read answers the first
//     Limit entries of that history that come behind its place, in the order of
//     publishing. Once there are none, Read answers as for the plain cursor. A page holds
//     one kind or the other. A cursor of another epoch comes before everything.
type ReadOptions struct {
	App string
	// Limit is the most entries to answer. Negative means all; 0 means none, which
	// still answers Epoch, Last and Version. A storage never sizes memory by it.
	Limit         int
	After, Before Cursor
	// Filter says which entries count for Limit. The SDK applies it to what a storage
	// answers, so a storage may ignore it. With a zero After or one inside a history it may
	// also leave out entries that do not pass, and has to do so if it can find the others
	// faster than by reading everything.
	Filter Filter
}

// Page holds what one [Storage.Read] answers. Each of its entries has its Position.
type Page struct {
	// Epoch is the life of the log; 0 for an app that has no log.
	Epoch uint64
	// Last is the position of the log's last entry at the moment of the read, be it
	// still kept or not; 0 if there never was one.
	Last    uint64
	Entries []Entry
	// More says that Read has more to answer from Next on: of the newest entries, that
	// fewer than Limit are here although there are more; of what comes after a cursor,
	// that this is not all. A page with More may be empty.
	More bool
	// Next is where Read goes on: the next After, or, of the newest entries, the next
	// Before. A storage that sets More where its page ends early may leave Next zero. The
	// SDK then takes the place of the page's last entry (of the newest: its first), or the
	// log's end if this was all.
	Next Cursor
	// Gone counts the entries between After and Next, both by position, that were not kept
	// any more. The SDK counts it: the storage leaves it 0.
	Gone uint64
	// Version is as in [Versioner]; 0 if the storage does not say.
	Version uint64
	// Work is the processor time that a read with a filter took. The SDK sets it. A host adds
	// it up, so that one search takes no more than its share.
	Work time.Duration
}

// End returns the cursor behind everything that the log had at the moment of the read.
func (p *Page) End() Cursor {
	if p.Epoch == 0 {
		return Cursor{}
	}
	return Cursor{Epoch: p.Epoch, Position: p.Last}
}

// Follower is a [Storage] that can say what arrives. The host polls Read on one
// that is not.
type Follower interface {
	// Follow calls yield with page after page of what arrives after the cursor, as Read
	// answers it. With a zero cursor it begins after everything that there is now. It also
	// yields a page without entries
	//
	//   - when the log's last position is before the cursor's: the storage lost what was
	//     there. It goes on from the page's end.
	//   - when the log is of another epoch than the cursor, or is gone. It goes on from the
	//     beginning of whatever log follows.
	//   - when entries arrived of which none is kept.
	//
	// Follow returns when ctx ends, when yield fails (with that error), or when it cannot
	// go on.
	Follow(ctx context.Context, app string, after Cursor, yield func(Page) error) error
}

// Versioner is a [Storage] that can say cheaply whether logs have changed.
type Versioner interface {
	// Versions answers a number for each app, in their order. As long as the number is the
	// same and not 0, every Read of that app with a zero After answers the same. 0 means
	// that the storage does not know, or that the app has no log.
	Versions(ctx context.Context, apps []string) ([]uint64, error)
}

// AppLister is a [Storage] that can say which apps have entries.
type AppLister interface {
	// Apps lists the apps that have entries and whose names come after the given one, in the
	// order of their names. It lists at most limit of them; if limit is 0, the storage chooses
	// how many. An empty list is the end. A list that is shorter than limit may not be.
	Apps(ctx context.Context, after string, limit int) ([]AppInfo, error)
	// App tells of one app. One that has no entries has an AppInfo without any, and that is no
	// error.
	App(ctx context.Context, app string) (AppInfo, error)
	// Totals sums up all apps, without looking at each of them.
	Totals(ctx context.Context) (Totals, error)
}

// AppInfo tells what a storage keeps of one app.
type AppInfo struct {
	App     string
	Entries uint64
	// Last is the position of the last entry: how many the epoch ever had. So
	// Last - Entries are gone.
	Last uint64
	// Bytes is what the entries take where they are kept.
	Bytes uint64
	// Oldest and Newest are the publish times of the entries at both ends.
	Oldest, Newest time.Time
}

// Totals sums up all apps of a storage: what it keeps now, and what it ever stored. Stored is
// Entries, Evicted and Deleted together.
type Totals struct {
	Apps, Entries, Bytes uint64
	// Stored counts all entries that were ever appended.
	Stored uint64
	// Evicted entries were pushed out by newer ones, or their app got no line for
	// LOGGER_APP_RETENTION.
	Evicted uint64
	// Deleted entries were kept until their log was deleted.
	Deleted uint64
}

// Checker is a [Storage] or [Aggregator] that can say whether its backend answers.
type Checker interface {
	// Check returns nil when the work can be done now, else an error of one line
	// that names the culprit. It answers within a second.
	Check(ctx context.Context) error
}
