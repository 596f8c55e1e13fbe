package sdk

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/deis/logger/sdk/pluginpb"
)

// RemoteStorage is a [Storage] in a plugin process. It also has every optional call; if the plugin
// lacks it, the call fails with [ErrUnsupported]. When the plugin is gone, calls fail with
// [ErrUnavailable].
//
// The texts of a page share one buffer: retaining one retains all of it.
type RemoteStorage struct {
	conn   grpc.ClientConnInterface
	client pluginpb.StorageServiceClient // for the small calls
}

var (
	_ Storage   = (*RemoteStorage)(nil)
	_ Follower  = (*RemoteStorage)(nil)
	_ Versioner = (*RemoteStorage)(nil)
	_ AppLister = (*RemoteStorage)(nil)
)

// NewRemoteStorage makes a client of the plugin behind the connection, which stays
// the caller's.
func NewRemoteStorage(conn grpc.ClientConnInterface) *RemoteStorage {
	conn = pluginConn{conn, StorageKind}
	return &RemoteStorage{conn: conn, client: pluginpb.NewStorageServiceClient(conn)}
}

// Append implements [Storage].
func (s *RemoteStorage) Append(ctx context.Context, batch Batch) error {
	req, err := encodeBatch(&batch)
	if err != nil {
		return err
	}
	return s.conn.Invoke(ctx, pluginpb.StorageService_Append_FullMethodName, req, &appendResponse{})
}

// Read implements [Storage]. All fields of the page are set. If the plugin does not filter, Read
// reads everything and filters here.
func (s *RemoteStorage) Read(ctx context.Context, opts ReadOptions) (Page, error) {
	resp := readResponse{most: min(max(opts.Limit, 0), maxPageEntries)}
	err := s.conn.Invoke(ctx, pluginpb.StorageService_Read_FullMethodName, readRequestToWire(&opts), &resp)
	switch {
	case errors.Is(err, ErrUnsupported) && !opts.Filter.IsZero():
		return ReadFiltered(ctx, s, opts)
	case err != nil:
		return Page{}, err
	case opts.Filter.IsZero():
		resp.complete(&opts) // for a plugin in another language
	}
	return resp.Page, nil
}

// Delete implements [Storage].
func (s *RemoteStorage) Delete(ctx context.Context, app string) error {
	_, err := s.client.Delete(ctx, &pluginpb.DeleteRequest{App: app})
	return err
}

// Versions implements [Versioner].
func (s *RemoteStorage) Versions(ctx context.Context, apps []string) ([]uint64, error) {
	resp, err := s.client.Versions(ctx, &pluginpb.VersionsRequest{Apps: apps})
	if err != nil {
		return nil, err
	}
	// A version that is missing in the answer stays 0, unknown.
	versions := make([]uint64, len(apps))
	copy(versions, resp.GetVersions())
	return versions, nil
}

// Apps implements [AppLister].
func (s *RemoteStorage) Apps(ctx context.Context, after string, limit int) ([]AppInfo, error) {
	return s.apps(ctx, &pluginpb.AppsRequest{After: after, Limit: int64(limit)})
}

// App implements [AppLister].
func (s *RemoteStorage) App(ctx context.Context, app string) (AppInfo, error) {
	apps, err := s.apps(ctx, &pluginpb.AppsRequest{App: app})
	if err != nil || len(apps) != 1 {
		return AppInfo{App: app}, err
	}
	return apps[0], nil
}

func (s *RemoteStorage) apps(ctx context.Context, req *pluginpb.AppsRequest) ([]AppInfo, error) {
	resp, err := s.client.Apps(ctx, req, appsBytes(req.GetLimit()))
	if err != nil {
		return nil, err
	}
	if limit := int(req.GetLimit()); limit > 0 {
		if err := atMost(len(resp.GetApps()), limit, "apps"); err != nil {
			return nil, err
		}
	}
	apps := make([]AppInfo, len(resp.GetApps()))
	for i, a := range resp.GetApps() {
		apps[i] = AppInfo{
			App: a.GetApp(), Entries: a.GetEntries(), Last: a.GetLast(), Bytes: a.GetBytes(),
			Oldest: fromNanos(a.GetOldestNanos()), Newest: fromNanos(a.GetNewestNanos()),
		}
	}
	return apps, nil
}

// Totals implements [AppLister].
func (s *RemoteStorage) Totals(ctx context.Context) (Totals, error) {
	t, err := s.client.Totals(ctx, &pluginpb.TotalsRequest{})
	if err != nil {
		return Totals{}, err
	}
	return Totals{
		Apps: t.GetApps(), Entries: t.GetEntries(), Bytes: t.GetBytes(),
		Stored: t.GetStored(), Evicted: t.GetEvicted(), Deleted: t.GetDeleted(),
	}, nil
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
		page := &resp.page.Page
		page.complete(&ReadOptions{App: app, Limit: -1, After: page.after(after)})
		after = orBeginning(page.Next) // of a log that is gone
		if err := yield(*page); err != nil {
			return err
		}
	}
}

// after returns the cursor that a page of a follow comes after: followed, or, if that names no
// place, the cursor just before the page.
func (p *Page) after(followed Cursor) Cursor {
	switch {
	case !followed.IsZero():
		return followed
	case len(p.Entries) > 0:
		return Cursor{Epoch: p.Epoch, Position: p.Entries[0].Position - 1}
	case p.Epoch != 0:
		return p.End()
	default:
		return Beginning()
	}
}

// orBeginning returns the cursor, or the beginning if it names no place.
func orBeginning(c Cursor) Cursor {
	if c.IsZero() {
		return Beginning()
	}
	return c
}

func readRequestToWire(o *ReadOptions) *pluginpb.ReadRequest {
	req := &pluginpb.ReadRequest{
		App: o.App, Limit: int64(o.Limit), After: cursorToWire(o.After), Before: cursorToWire(o.Before), OmitMessages: o.OmitMessages,
	}
	if f := &o.Filter; !f.IsZero() {
		req.Filter = &pluginpb.Filter{
			Since: timeToWire(f.Since), Until: timeToWire(f.Until),
			Process: f.Process, Release: f.Release, Pod: f.Pod, Stream: f.Stream,
			Include: f.Include, Exclude: f.Exclude, Level: pluginpb.Level(f.Level),
		}
		for _, source := range f.Source {
			req.Filter.Source = append(req.Filter.Source, pluginpb.Source(source))
		}
	}
	return req
}

func readRequestFromWire(req *pluginpb.ReadRequest) ReadOptions {
	o := ReadOptions{
		App: req.GetApp(), Limit: int(req.GetLimit()), After: cursorFromWire(req.GetAfter()), Before: cursorFromWire(req.GetBefore()),
		OmitMessages: req.GetOmitMessages(),
	}
	if f := req.GetFilter(); f != nil {
		o.Filter = Filter{
			Since: timeFromWire(f.GetSince()), Until: timeFromWire(f.GetUntil()),
			Process: f.GetProcess(), Release: f.GetRelease(), Pod: f.GetPod(), Stream: f.GetStream(),
			Include: f.GetInclude(), Exclude: f.GetExclude(), Level: levelOf(uint64(f.GetLevel())),
		}
		for _, source := range f.GetSource() {
			o.Filter.Source = append(o.Filter.Source, Source(source))
		}
	}
	return o
}

func timeToWire(t time.Time) *pluginpb.Time {
	if t.IsZero() {
		return nil
	}
	return &pluginpb.Time{Seconds: t.Unix(), Nanos: int32(t.Nanosecond())}
}

func timeFromWire(t *pluginpb.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.Unix(t.GetSeconds(), int64(t.GetNanos())).UTC()
}
