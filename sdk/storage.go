package sdk

import (
	"context"
	"time"
)

// Storage keeps the most recent entries of each app.
//
// All methods may be called concurrently, except that Append is called by one
// caller at a time per writer. All honour ctx. An error that wraps [ErrInvalid] is
// about the call itself; [ErrUnavailable] and anything else mean that the same
// call may succeed later.
//
// A Storage that is also an [io.Closer] is closed when the plugin shuts down,
// after the last call returned.
type Storage interface {
	// Append stores the entries of the batch, in order within each app, and
	// returns nil only when all are stored. After an error any app may have the
	// first part of its entries, never others; so may a reader see them meanwhile.
	//
	// After an error, or when the outcome got lost, the host calls Append again
	// with the same batch, until it returns nil. What an earlier try stored is not
	// stored again: a storage MUST ignore, per app, a batch whose sequence is not
	// above the highest that it stored whole for the batch's writer, and of one
	// that it stored in part it stores the rest. [Marks] keeps account of that.
	//
	// A batch that can never be stored is refused with [ErrInvalid] before anything
	// of it is stored: the host then looks for the culprit with smaller batches.
	//
	// The batch is the caller's again when Append returns: its slices are overwritten.
	// Its strings may be kept, but those of a batch share one piece of memory, all of
	// which one kept string keeps: a storage in memory copies what it keeps, and says so
	// as a [BatchCopier].
	Append(ctx context.Context, batch Batch) error

	// Read answers entries of one app, oldest first. An app without entries is an
	// empty page and no error.
	Read(ctx context.Context, opts ReadOptions) (Page, error)

	// Delete forgets the entries of an app. Absence is no error. What is appended
	// later belongs to a new epoch.
	Delete(ctx context.Context, app string) error
}

// ReadOptions say what a [Storage.Read] wants.
type ReadOptions struct {
	App string
	// Limit is the most entries to answer. Negative means all; 0 means none, which
	// still answers Epoch and First. A storage never sizes memory by it.
	Limit int
	// After is zero for the newest Limit entries; otherwise the page holds the
	// first Limit entries that follow it. A cursor of another epoch comes before
	// everything.
	After Cursor
	// Known, beside a zero After, is the end of what the caller has: of the newest
	// Limit entries those up to it, if it is of the log's epoch, need not be in the
	// page. A storage may leave them out, or not know of this field and answer all.
	Known Cursor
}

// Page is a run of consecutive entries of one app, oldest first: Entries[i] is at
// position First+i of the epoch.
type Page struct {
	// Epoch is the life of the log; 0 for an app that has no log.
	Epoch uint64
	// First is the position of Entries[0]. Without entries it is the position that
	// the next entry will get.
	First   uint64
	Entries []Entry
	// More says that there are entries that were asked for and are not here, for
	// the page's size; the caller goes on after the last.
	More bool
	// Oldest is the position of the oldest entry that is kept, at the moment that the
	// page is of; when none is, the position that the next one will get. 0 is a storage
	// that does not say: then a host cannot tell whether what it has is still kept, and
	// reads every answer whole.
	Oldest uint64
}

// End is the cursor just after the page's last entry.
func (p Page) End() Cursor { return p.Cursor(len(p.Entries) - 1) }

// Cursor is the place just after Entries[i].
func (p Page) Cursor(i int) Cursor {
	if p.Epoch == 0 {
		return Cursor{}
	}
	return Cursor{Epoch: p.Epoch, Position: p.First + uint64(i)}
}

// Gap is how many entries are gone between the cursor that was read after and
// this page. Known is false when the cursor is of another epoch: then Gap counts
// only what is gone of this one.
func (p Page) Gap(after Cursor) (gap uint64, known bool) {
	known = after.Epoch == p.Epoch
	if !known {
		after.Position = 0
	}
	if p.First > after.Position+1 {
		gap = p.First - after.Position - 1
	}
	return gap, known
}

// Before says that the log ended before the cursor that was read after, and so that the
// page has nothing: whoever gave the cursor out lost what was there since, or nobody did.
// What is appended next gets the positions after [Page.End].
func (p Page) Before(after Cursor) bool {
	return len(p.Entries) == 0 && p.Epoch != 0 && p.Epoch == after.Epoch && p.First > 0 && p.First-1 < after.Position
}

// Follower is a [Storage] that can say what arrives. The host polls Read on one
// that is not.
type Follower interface {
	// Follow calls yield with page after page of what follows the cursor (a zero
	// cursor: what is appended from now on), without a lost or doubled entry; a gap
	// shows in the positions. After a cursor that the log's end is before, it yields a
	// page without entries, which says where the end is, and goes on from there: so it
	// does whenever it finds that the log ends before what it yielded.
	//
	// It returns when ctx ends, when yield fails (with that error), or when it cannot
	// go on.
	Follow(ctx context.Context, app string, after Cursor, yield func(Page) error) error
}

// AppLister is a [Storage] that can say which apps have entries.
type AppLister interface {
	// Apps lists the apps that have entries, in no order.
	Apps(ctx context.Context) ([]AppInfo, error)
}

// SoleWriter is a [Storage] that promises to be all there is to its logs.
type SoleWriter interface {
	// SoleWriter says that logs change only while a call of Append or Delete is under way
	// in this process: nobody else writes what they are kept in, and nothing leaves them by
	// itself. What a host has read since the last of these calls it then answers again
	// without asking. It is asked once, after the storage was opened.
	SoleWriter() bool
}

// BatchCopier is a [Storage] that promises to keep no part of a batch, not even a string.
type BatchCopier interface {
	// CopiesBatches says that nothing of a batch is looked at once Append has returned, with
	// an error or without, be it by a map's key, that error or another goroutine. The memory
	// of its strings is then used for the next batch: most of a plugin's garbage are those.
	// It is asked once, after the storage was opened.
	CopiesBatches() bool
}

// Accountant is an [AppLister] that also counts what left it with logs that are not
// listed any more, because they were deleted or all their entries were evicted. So its
// books balance: what it ever stored is Departed and the sum of [AppInfo.Last].
type Accountant interface {
	AppLister
	// Departed counts over the storage's whole life.
	Departed(ctx context.Context) (Departed, error)
}

// Departed are the entries of logs that a storage has no more.
type Departed struct {
	// Evicted entries had been pushed out by newer ones before their log went.
	Evicted uint64
	// Deleted entries were kept until their log was deleted.
	Deleted uint64
}

// AppInfo is what a storage keeps of one app.
type AppInfo struct {
	App     string
	Entries uint64
	// Last is the position of the newest entry: how many the epoch ever had. So
	// Last - Entries are gone.
	Last uint64
	// Bytes is what the entries take where they are kept.
	Bytes uint64
	// Oldest and Newest are the publish times (else own times) of the entries at
	// both ends.
	Oldest, Newest time.Time
}

// Checker is a [Storage] or [Aggregator] that can say whether its backend answers.
type Checker interface {
	// Check returns nil when the work can be done now, else an error of one line
	// that names the culprit. It answers within a second.
	Check(ctx context.Context) error
}
