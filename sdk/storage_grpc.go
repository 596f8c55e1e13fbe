package sdk

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/deis/logger/sdk/pluginpb"
)

// RemoteStorage is a [Storage] in a plugin process. It is also a [Follower] and an
// [AppLister]: on a plugin that is not, those calls fail with [ErrUnsupported].
// When the plugin is gone, calls fail with [ErrUnavailable].
//
// The texts of a page share one piece of memory: a text that is kept keeps the whole
// page's.
type RemoteStorage struct {
	// SameLabels makes Append leave out each label of an entry (process, release, pod, stream,
	// host) that is that of the one before it in the batch: a third of a batch of ordinary lines. It is
	// only for a plugin whose [Capabilities] say that it has them all the same.
	SameLabels bool

	conn   grpc.ClientConnInterface
	client pluginpb.StorageServiceClient // for the small calls
}

var (
	_ Storage    = (*RemoteStorage)(nil)
	_ Follower   = (*RemoteStorage)(nil)
	_ Accountant = (*RemoteStorage)(nil)
)

// NewRemoteStorage makes a client of the plugin behind the connection, which stays
// the caller's.
func NewRemoteStorage(conn grpc.ClientConnInterface) *RemoteStorage {
	conn = pluginConn{conn, StorageKind}
	return &RemoteStorage{conn: conn, client: pluginpb.NewStorageServiceClient(conn)}
}

// Append implements [Storage].
func (s *RemoteStorage) Append(ctx context.Context, batch Batch) error {
	req, err := encodeBatch(&batch, s.SameLabels)
	if err != nil {
		return err
	}
	return s.conn.Invoke(ctx, pluginpb.StorageService_Append_FullMethodName, req, &appendResponse{})
}

// Read implements [Storage].
func (s *RemoteStorage) Read(ctx context.Context, opts ReadOptions) (page Page, err error) {
	err = s.ReadInto(ctx, opts, &page)
	return page, err
}

// ReadInto is Read into a page that was used before: its slice of entries, which is
// overwritten, is used again. After an error the page is of no use but for that.
func (s *RemoteStorage) ReadInto(ctx context.Context, opts ReadOptions, page *Page) error {
	resp := readResponse{Page{Entries: page.Entries[:0]}}
	err := s.conn.Invoke(ctx, pluginpb.StorageService_Read_FullMethodName, &pluginpb.ReadRequest{
		App: opts.App, Limit: int64(opts.Limit), After: cursorToWire(opts.After), Known: cursorToWire(opts.Known),
	}, &resp)
	*page = resp.Page
	return err
}

// Delete implements [Storage].
func (s *RemoteStorage) Delete(ctx context.Context, app string) error {
	_, err := s.client.Delete(ctx, &pluginpb.DeleteRequest{App: app})
	return err
}

// Apps implements [AppLister].
func (s *RemoteStorage) Apps(ctx context.Context) ([]AppInfo, error) {
	apps, _, err := s.Inventory(ctx)
	return apps, err
}

// Inventory lists the apps and says what left the storage with others, by one call.
// Departed is nil if the storage is no [Accountant].
func (s *RemoteStorage) Inventory(ctx context.Context) ([]AppInfo, *Departed, error) {
	resp, err := s.client.Apps(ctx, &pluginpb.AppsRequest{})
	if err != nil {
		return nil, nil, err
	}
	apps := make([]AppInfo, len(resp.GetApps()))
	for i, a := range resp.GetApps() {
		apps[i] = AppInfo{
			App: a.GetApp(), Entries: a.GetEntries(), Last: a.GetLast(), Bytes: a.GetBytes(),
			Oldest: fromNanos(a.GetOldestNanos()), Newest: fromNanos(a.GetNewestNanos()),
		}
	}
	if d := resp.GetDeparted(); d != nil {
		return apps, &Departed{Evicted: d.GetEvicted(), Deleted: d.GetDeleted()}, nil
	}
	return apps, nil, nil
}

// Departed implements [Accountant]; [ErrUnsupported] if the storage does not count.
func (s *RemoteStorage) Departed(ctx context.Context) (Departed, error) {
	_, departed, err := s.Inventory(ctx)
	switch {
	case err != nil:
		return Departed{}, err
	case departed == nil:
		return Departed{}, fmt.Errorf("this storage does not count what is gone: %w", ErrUnsupported)
	}
	return *departed, nil
}

// Follow implements [Follower].
func (s *RemoteStorage) Follow(ctx context.Context, app string, after Cursor, yield func(Page) error) error {
	ctx, cancel := context.WithCancel(ctx) // ends the stream when yield fails
	defer cancel()
	stream, err := s.client.Follow(ctx, &pluginpb.FollowRequest{App: app, After: cursorToWire(after)})
	if err != nil {
		return err
	}
	for {
		var resp followResponse
		if err := stream.RecvMsg(&resp); err != nil {
			return err
		}
		if err := yield(resp.page.Page); err != nil {
			return err
		}
	}
}
