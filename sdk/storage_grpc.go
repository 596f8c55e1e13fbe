package sdk

import (
	"context"
	"fmt"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/deis/logger/sdk/pluginpb"
)

// pageBytes is about how much one page carries over the wire: what is more is left
// to the next Read, with Page.More set.
const pageBytes = 1 << 20

// RemoteStorage is a [Storage] in a plugin process. It is also a [Follower] and an
// [AppLister]: on a plugin that is not, those calls fail with [ErrUnsupported].
// When the plugin is gone, calls fail with [ErrUnavailable].
type RemoteStorage struct{ client pluginpb.StorageServiceClient }

var (
	_ Storage   = (*RemoteStorage)(nil)
	_ Follower  = (*RemoteStorage)(nil)
	_ AppLister = (*RemoteStorage)(nil)
)

// NewRemoteStorage makes a client of the plugin behind the connection, which stays
// the caller's.
func NewRemoteStorage(conn grpc.ClientConnInterface) *RemoteStorage {
	return &RemoteStorage{client: pluginpb.NewStorageServiceClient(conn)}
}

// Append implements [Storage].
func (s *RemoteStorage) Append(ctx context.Context, batch Batch) error {
	_, err := s.client.Append(ctx, batchToWire(batch))
	return fromStatus(ctx, err)
}

// Read implements [Storage].
func (s *RemoteStorage) Read(ctx context.Context, opts ReadOptions) (Page, error) {
	resp, err := s.client.Read(ctx, &pluginpb.ReadRequest{
		App: opts.App, Limit: int64(opts.Limit), After: cursorToWire(opts.After),
	})
	if err != nil {
		return Page{}, fromStatus(ctx, err)
	}
	return pageFromWire(resp), nil
}

// Delete implements [Storage].
func (s *RemoteStorage) Delete(ctx context.Context, app string) error {
	_, err := s.client.Delete(ctx, &pluginpb.DeleteRequest{App: app})
	return fromStatus(ctx, err)
}

// Apps implements [AppLister].
func (s *RemoteStorage) Apps(ctx context.Context) ([]AppInfo, error) {
	resp, err := s.client.Apps(ctx, &pluginpb.AppsRequest{})
	if err != nil {
		return nil, fromStatus(ctx, err)
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

// Follow implements [Follower].
func (s *RemoteStorage) Follow(ctx context.Context, app string, after Cursor, yield func(Page) error) error {
	ctx, cancel := context.WithCancel(ctx) // ends the stream when yield fails
	defer cancel()
	stream, err := s.client.Follow(ctx, &pluginpb.FollowRequest{App: app, After: cursorToWire(after)})
	if err != nil {
		return fromStatus(ctx, err)
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return fromStatus(ctx, err)
		}
		if err := yield(pageFromWire(resp.GetPage())); err != nil {
			return err
		}
	}
}

// storageServer serves StorageService over an implementation.
type storageServer struct {
	pluginpb.UnimplementedStorageServiceServer
	impl *implementation[Storage]
}

func (s *storageServer) Append(ctx context.Context, req *pluginpb.AppendRequest) (*pluginpb.AppendResponse, error) {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	return &pluginpb.AppendResponse{}, toStatus(impl.Append(ctx, batchFromWire(req)))
}

func (s *storageServer) Read(ctx context.Context, req *pluginpb.ReadRequest) (*pluginpb.ReadResponse, error) {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	page, err := impl.Read(ctx, ReadOptions{App: req.GetApp(), Limit: int(req.GetLimit()), After: cursorFromWire(req.GetAfter())})
	if err != nil {
		return nil, toStatus(err)
	}
	return cutPage(pageToWire(page), pageBytes), nil
}

func (s *storageServer) Delete(ctx context.Context, req *pluginpb.DeleteRequest) (*pluginpb.DeleteResponse, error) {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	return &pluginpb.DeleteResponse{}, toStatus(impl.Delete(ctx, req.GetApp()))
}

func (s *storageServer) Apps(ctx context.Context, _ *pluginpb.AppsRequest) (*pluginpb.AppsResponse, error) {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	lister, ok := impl.(AppLister)
	if !ok {
		return nil, toStatus(fmt.Errorf("this storage does not list apps: %w", ErrUnsupported))
	}
	apps, err := lister.Apps(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &pluginpb.AppsResponse{Apps: make([]*pluginpb.AppInfo, len(apps))}
	for i, a := range apps {
		resp.Apps[i] = &pluginpb.AppInfo{
			App: a.App, Entries: a.Entries, Last: a.Last, Bytes: a.Bytes, OldestNanos: nanos(a.Oldest), NewestNanos: nanos(a.Newest),
		}
	}
	return resp, nil
}

func (s *storageServer) Follow(req *pluginpb.FollowRequest, stream grpc.ServerStreamingServer[pluginpb.FollowResponse]) error {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return err
	}
	defer leave()
	follower, ok := impl.(Follower)
	if !ok {
		return toStatus(fmt.Errorf("this storage does not follow: %w", ErrUnsupported))
	}
	return toStatus(follower.Follow(stream.Context(), req.GetApp(), cursorFromWire(req.GetAfter()), func(page Page) error {
		for rest := pageToWire(page); ; {
			part := cutPage(rest, pageBytes)
			if err := stream.Send(&pluginpb.FollowResponse{Page: part}); err != nil {
				return err
			}
			n := len(part.GetEntries())
			if n == len(rest.GetEntries()) {
				return nil
			}
			rest = &pluginpb.ReadResponse{
				Epoch: rest.GetEpoch(), First: rest.GetFirst() + uint64(n), Entries: rest.GetEntries()[n:], More: page.More,
			}
		}
	}))
}

// cutPage is the page, or if it is larger than size its first entries, at least one.
func cutPage(p *pluginpb.ReadResponse, size int) *pluginpb.ReadResponse {
	for i, e := range p.GetEntries() {
		size -= proto.Size(e)
		if size < 0 && i > 0 {
			return &pluginpb.ReadResponse{Epoch: p.GetEpoch(), First: p.GetFirst(), Entries: p.GetEntries()[:i], More: true}
		}
	}
	return p
}

// Valid says why an entry breaks the contract, or nil: text must be valid UTF-8
// (protobuf strings are). Hosts and tests use it.
func (e *Entry) Valid() error {
	for _, f := range []struct{ name, text string }{
		{"process", e.Process},
		{"release", e.Release},
		{"pod", e.Pod},
		{"stream", e.Stream},
		{"host", e.Host},
		{"message", e.Message},
	} {
		if !utf8.ValidString(f.text) {
			return fmt.Errorf("%s is not valid UTF-8: %w", f.name, ErrInvalid)
		}
	}
	return nil
}
