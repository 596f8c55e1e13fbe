package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/deis/logger/sdk/pluginpb"
)

// pageBytes is about how much one page carries over the wire. The rest is left to the next Read,
// with Page.More set.
const pageBytes = 1 << 20

// storageServer serves StorageService over an implementation. Append and Read are not
// the generated ones: see storageService.
type storageServer struct {
	pluginpb.UnimplementedStorageServiceServer
	impl *implementation[Storage]
}

// registerStorage registers StorageService, with the calls that carry entries in the
// types of this package.
func registerStorage(s grpc.ServiceRegistrar, impl *implementation[Storage]) {
	s.RegisterService(&storageService, &storageServer{impl: impl})
}

// storageService is the generated description with our own Append and Read.
var storageService = func() grpc.ServiceDesc {
	desc := pluginpb.StorageService_ServiceDesc
	desc.Methods = slices.Clone(desc.Methods)
	for i := range desc.Methods {
		switch m := &desc.Methods[i]; m.MethodName {
		case "Append":
			m.Handler = handler(pluginpb.StorageService_Append_FullMethodName, newAppendRequest, (*storageServer).append)
		case "Read":
			m.Handler = handler(pluginpb.StorageService_Read_FullMethodName, newReadRequest, (*storageServer).read)
		}
	}
	return desc
}()

// handler makes a call into a method's handler, as the generated code does.
func handler[Req any](
	method string, newReq func() Req, call func(*storageServer, context.Context, Req) (*encoded, error),
) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		req := newReq()
		target, malformed := receiver(req)
		if err := decode(target); err != nil {
			return nil, err
		}
		if err := malformed(); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		handle := func(ctx context.Context, req any) (any, error) { return call(srv.(*storageServer), ctx, req.(Req)) }
		if interceptor == nil {
			return handle(ctx, req)
		}
		info := &grpc.UnaryServerInfo{Server: srv, FullMethod: method}
		return interceptor(ctx, req, info, handle)
	}
}

var appendRequests = sync.Pool{New: func() any { return new(appendRequest) }}

func newAppendRequest() *appendRequest { return appendRequests.Get().(*appendRequest) }

// maxPooledEntries bounds the slices that are kept for later batches: a rare large one is not kept.
const maxPooledEntries = 8192

func (m *appendRequest) release() {
	if cap(m.entries) > maxPooledEntries {
		return
	}
	clear(m.entries) // their texts may go
	clear(m.Apps)
	appendRequests.Put(m)
}

func newReadRequest() *pluginpb.ReadRequest { return &pluginpb.ReadRequest{} }

func (s *storageServer) append(ctx context.Context, req *appendRequest) (*encoded, error) {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	err = toStatus(impl.Append(ctx, req.Batch))
	req.release() // not after a panic, which may have left the batch with someone
	return &encoded{}, err
}

func (s *storageServer) read(ctx context.Context, req *pluginpb.ReadRequest) (*encoded, error) {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	opts := readRequestFromWire(req)
	page, err := ReadFiltered(ctx, impl, opts)
	if err != nil {
		return nil, toStatus(err)
	}
	page.cut(&opts, pageBytes)
	resp, err := encodePage(&page, false, opts.OmitMessages)
	if err != nil { // the storage's fault, not the call's
		return nil, status.Error(codes.Unknown, err.Error())
	}
	return resp, nil
}

func (s *storageServer) Delete(ctx context.Context, req *pluginpb.DeleteRequest) (*pluginpb.DeleteResponse, error) {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	return &pluginpb.DeleteResponse{}, toStatus(impl.Delete(ctx, req.GetApp()))
}

func (s *storageServer) Versions(ctx context.Context, req *pluginpb.VersionsRequest) (*pluginpb.VersionsResponse, error) {
	return optional(s, "does not tell versions", func(v Versioner) (*pluginpb.VersionsResponse, error) {
		versions, err := v.Versions(ctx, req.GetApps())
		return &pluginpb.VersionsResponse{Versions: versions}, err
	})
}

func (s *storageServer) Apps(ctx context.Context, req *pluginpb.AppsRequest) (*pluginpb.AppsResponse, error) {
	return optional(s, "does not list apps", func(lister AppLister) (*pluginpb.AppsResponse, error) {
		apps, err := listApps(ctx, lister, req)
		resp := &pluginpb.AppsResponse{Apps: make([]*pluginpb.AppInfo, len(apps))}
		for i, a := range apps {
			resp.Apps[i] = &pluginpb.AppInfo{
				App: a.App, Entries: a.Entries, Last: a.Last, Bytes: a.Bytes, OldestNanos: nanos(a.Oldest), NewestNanos: nanos(a.Newest),
			}
		}
		return resp, err
	})
}

func listApps(ctx context.Context, lister AppLister, req *pluginpb.AppsRequest) ([]AppInfo, error) {
	if req.GetApp() == "" {
		return lister.Apps(ctx, req.GetAfter(), int(req.GetLimit()))
	}
	app, err := lister.App(ctx, req.GetApp())
	if err != nil || app.Entries == 0 {
		return nil, err
	}
	return []AppInfo{app}, nil
}

func (s *storageServer) Totals(ctx context.Context, _ *pluginpb.TotalsRequest) (*pluginpb.TotalsResponse, error) {
	return optional(s, "does not list apps", func(lister AppLister) (*pluginpb.TotalsResponse, error) {
		t, err := lister.Totals(ctx)
		return &pluginpb.TotalsResponse{
			Apps: t.Apps, Entries: t.Entries, Bytes: t.Bytes, Stored: t.Stored, Evicted: t.Evicted, Deleted: t.Deleted,
		}, err
	})
}

// optional makes a call that the storage may lack.
func optional[Does, Resp any](s *storageServer, lack string, call func(Does) (*Resp, error)) (*Resp, error) {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	does, ok := impl.(Does)
	if !ok {
		return nil, toStatus(fmt.Errorf("this storage %s: %w", lack, ErrUnsupported))
	}
	resp, err := call(does)
	if err != nil {
		return nil, toStatus(err)
	}
	return resp, nil
}

func (s *storageServer) Follow(req *pluginpb.FollowRequest, stream grpc.ServerStreamingServer[pluginpb.FollowResponse]) error {
	impl, leave, err := s.impl.enter()
	if err != nil {
		return err
	}
	defer leave()
	defer answered(stream)
	follower, ok := impl.(Follower)
	if !ok {
		return toStatus(fmt.Errorf("this storage does not follow: %w", ErrUnsupported))
	}
	after := cursorFromWire(req.GetAfter())
	return toStatus(follower.Follow(stream.Context(), req.GetApp(), after, func(page Page) error {
		for {
			opts := ReadOptions{App: req.GetApp(), Limit: -1, After: page.after(after)}
			page.complete(&opts)
			part := page
			part.cut(&opts, pageBytes)
			resp, err := encodePage(&part, true, false)
			if err != nil {
				return errors.New(err.Error()) // the storage's fault, not the call's
			}
			if err := stream.SendMsg(resp); err != nil {
				return err
			}
			after = orBeginning(part.Next) // of a log that is gone
			if len(part.Entries) == len(page.Entries) {
				return nil
			}
			page.Entries = page.Entries[len(part.Entries):]
		}
	}))
}
