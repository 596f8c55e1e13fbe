package sdk

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/deis/logger/sdk/pluginpb"
)

// generatedStorage serves a plugin by the .proto alone, as one in another language does.
type generatedStorage struct {
	pluginpb.UnimplementedStorageServiceServer
	appended *pluginpb.AppendRequest
	page     *pluginpb.ReadResponse
	err      error
}

func (s *generatedStorage) Append(_ context.Context, req *pluginpb.AppendRequest) (*pluginpb.AppendResponse, error) {
	s.appended = req
	return &pluginpb.AppendResponse{}, s.err
}

func (s *generatedStorage) Read(context.Context, *pluginpb.ReadRequest) (*pluginpb.ReadResponse, error) {
	return s.page, s.err
}

func (s *generatedStorage) Follow(_ *pluginpb.FollowRequest, stream grpc.ServerStreamingServer[pluginpb.FollowResponse]) error {
	for range 3 {
		if err := stream.Send(&pluginpb.FollowResponse{Page: s.page}); err != nil {
			return err
		}
	}
	return s.err
}

// generatedAggregator delivers one batch and waits for its ack.
type generatedAggregator struct {
	pluginpb.UnimplementedAggregatorServiceServer
	acks chan *pluginpb.Ack
}

func (a *generatedAggregator) Run(stream grpc.BidiStreamingServer[pluginpb.RunRequest, pluginpb.RunResponse]) error {
	if err := stream.Send(messagesToWire(1, benchMessages(3))); err != nil {
		return err
	}
	req, err := stream.Recv()
	if err != nil {
		return err
	}
	a.acks <- req.GetAck()
	return nil
}

// plainConn serves the registered services on a plain gRPC server, and connects to it without our
// options. So the side that is not under test is generated code.
func plainConn(t *testing.T, register func(*grpc.Server), opts ...grpc.ServerOption) (conn *grpc.ClientConn, kill func()) {
	t.Helper()
	listener, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(opts...)
	register(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	conn, err = grpc.NewClient("unix://"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-done
	})
	return conn, server.Stop
}

// samplePage returns an answer to a read of the newest entries.
func samplePage() Page {
	page := Page{Epoch: 7, Last: 9, Entries: []Entry{fullEntry(), {}, fullEntry()}, More: true, Version: 4}
	page.Entries[0].Position, page.Entries[1].Position, page.Entries[2].Position = 3, 9, 4
	page.Next = page.End().At(&page.Entries[0])
	return page
}

func TestHostWithGeneratedPlugin(t *testing.T) {
	page := samplePage()
	s := &generatedStorage{page: pageToWire(&page)}
	a := &generatedAggregator{acks: make(chan *pluginpb.Ack, 1)}
	conn, _ := plainConn(t, func(g *grpc.Server) {
		pluginpb.RegisterStorageServiceServer(g, s)
		pluginpb.RegisterAggregatorServiceServer(g, a)
	})
	storage := NewRemoteStorage(conn)
	batch := Batch{ID: BatchID{Writer: "w", Sequence: 9}, Apps: []AppEntries{{App: "a", Entries: slices.Clone(page.Entries)}, {App: "b"}}}
	err := storage.Append(t.Context(), batch)
	for i := range page.Entries {
		batch.Apps[0].Entries[i].Position = 0 // a batch has no positions
	}
	if got := batchFromWire(s.appended); err != nil || !sameBatch(got, batch) {
		t.Errorf("append: %v, got %v", err, s.appended)
	}
	if got, err := storage.Read(t.Context(), ReadOptions{App: "a"}); err != nil || !samePage(got, page) {
		t.Errorf("read: %+v, %v", got, err)
	}
	pages := 0
	s.err = status.Error(codes.InvalidArgument, "no such app")
	s.page = pageToWire(&Page{Epoch: 7, Last: 9, Entries: []Entry{{Position: 5}, {Position: 9}}})
	err = storage.Follow(t.Context(), "a", Cursor{Epoch: 7, Position: 2}, func(p Page) error {
		if pages++; pages == 1 && (p.Next != Cursor{Epoch: 7, Position: 9} || p.Gone != 5 || p.Entries[1].Position != 9) {
			t.Errorf("followed %+v", p)
		}
		return nil
	})
	if pages != 3 || !errors.Is(err, ErrInvalid) || err.Error() != "no such app" {
		t.Errorf("follow: %d pages, %v", pages, err)
	}
	s.err = status.Error(codes.Unavailable, "backend at nowhere:1 refuses")
	if _, err := storage.Read(t.Context(), ReadOptions{}); !errors.Is(err, ErrUnavailable) || err.Error() != "backend at nowhere:1 refuses" {
		t.Errorf("a plugin's own error: %v", err)
	}
	err = NewRemoteAggregator(conn, time.Second).Run(t.Context(), func(_ context.Context, messages []Message) (*Receipt, error) {
		if !sameMessages(messages, benchMessages(3)) {
			t.Errorf("delivered %+v", messages)
		}
		r := NewReceipt()
		r.Resolve(nil)
		return r, nil
	})
	if ack := <-a.acks; err != nil || ack.GetBatch() != 1 || ack.GetCode() != 0 {
		t.Errorf("run: %v, ack %v", err, ack)
	}
}

func TestPluginWithGeneratedHost(t *testing.T) {
	want := Batch{ID: BatchID{Writer: "w", Sequence: 9}, Apps: []AppEntries{{App: "a", Entries: []Entry{fullEntry(), fullEntry(), {}}}, {App: "b"}}}
	page := samplePage()
	var got Batch
	impl := &implementation[Storage]{opened: true, value: scriptedStorage{
		append: func(_ context.Context, b Batch) error { got = cloneBatch(b); return nil },
		read:   func(context.Context, ReadOptions) (Page, error) { return page, nil },
	}}
	delivers := &implementation[Aggregator]{opened: true, value: scriptedAggregator(func(ctx context.Context, deliver Deliver) error {
		r, err := deliver(ctx, benchMessages(3))
		if err != nil {
			return err
		}
		return r.Wait(ctx)
	})}
	conn, _ := plainConn(t, func(g *grpc.Server) {
		registerStorage(g, impl)
		pluginpb.RegisterAggregatorServiceServer(g, &aggregatorServer{impl: delivers})
	}, ServerOptions()...)
	storage := pluginpb.NewStorageServiceClient(conn)
	if _, err := storage.Append(t.Context(), batchToWire(&want)); err != nil || !sameBatch(got, want) {
		t.Errorf("append: %v, got %+v", err, got)
	}
	resp, err := storage.Read(t.Context(), &pluginpb.ReadRequest{Limit: -1})
	if err != nil || !samePage(pageFromWire(resp), page) {
		t.Errorf("read: %v, %v", resp, err)
	}
	stream, err := pluginpb.NewAggregatorServiceClient(conn).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batch, err := stream.Recv()
	if err != nil || !sameMessages(messagesFromWire(batch), benchMessages(3)) {
		t.Fatalf("run: %v, %v", batch, err)
	}
	ack := &pluginpb.RunRequest{Request: &pluginpb.RunRequest_Ack{Ack: &pluginpb.Ack{Batch: batch.GetBatch()}}}
	if err := stream.Send(ack); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil || err.Error() != "EOF" {
		t.Errorf("the end: %v", err)
	}
}

// TestUnknownValuesAreIgnored: a host ignores additions of a later minor version of the contract,
// as docs/plugins/compatibility.md promises.
func TestUnknownValuesAreIgnored(t *testing.T) {
	unknown := []byte{0xa2, 0x06, 3, 'n', 'e', 'w'} // field 100, a text
	page := pageToWire(&Page{Epoch: 7, Last: 3, Entries: []Entry{{Position: 3, Published: time.Unix(5, 0), Message: "text", Source: Source(99)}}})
	page.ProtoReflect().SetUnknown(unknown)
	page.Entries[0].ProtoReflect().SetUnknown(unknown)
	storage := &generatedStorage{page: page}
	served := &generatedPlugin{
		description: &pluginpb.DescribeResponse{Kind: pluginpb.Kind_KIND_STORAGE, Name: "new", Settings: []*pluginpb.Setting{
			{Env: "OF_A_NEW_TYPE", Type: 77, Default: "anything"}, {Env: "OF_AN_OLD_ONE", Type: pluginpb.SettingType_SETTING_TYPE_INT, Default: "5"},
		}},
		configured: &pluginpb.ConfigureResponse{Capabilities: []pluginpb.Capability{77, pluginpb.Capability_CAPABILITY_APPS}},
	}
	served.description.ProtoReflect().SetUnknown(unknown)
	served.description.Settings[0].ProtoReflect().SetUnknown(unknown)
	served.configured.ProtoReflect().SetUnknown(unknown)
	conn, _ := plainConn(t, func(g *grpc.Server) {
		pluginpb.RegisterPluginServiceServer(g, served)
		pluginpb.RegisterStorageServiceServer(g, storage)
	})
	client := NewPluginClient(conn)
	d, err := client.Describe(t.Context())
	if err != nil || d.Name != "new" || len(d.Settings) != 2 || d.Settings[1].Default != "5" {
		t.Fatalf("describe: %+v, %v", d, err)
	}
	if value, err := d.Settings[0].Value(func(string) (string, bool) { return "what its author likes", true }); err != nil || value != "what its author likes" {
		t.Errorf("a setting of an unknown type: %q, %v, want its text as it is", value, err)
	}
	can, err := client.Configure(t.Context(), Configuration{})
	if want := (Capabilities{Apps: true}); can != want || err != nil {
		t.Errorf("configure: %+v, %v", can, err)
	}
	got, err := NewRemoteStorage(conn).Read(t.Context(), ReadOptions{Limit: -1})
	if err != nil || len(got.Entries) != 1 || got.Entries[0].Message != "text" || got.Entries[0].Source.String() != "unknown" {
		t.Errorf("read: %+v, %v", got, err)
	}
}

// generatedPlugin serves what surrounds a generatedStorage.
type generatedPlugin struct {
	pluginpb.UnimplementedPluginServiceServer
	description *pluginpb.DescribeResponse
	configured  *pluginpb.ConfigureResponse
}

func (p *generatedPlugin) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return p.description, nil
}

func (p *generatedPlugin) Configure(context.Context, *pluginpb.ConfigureRequest) (*pluginpb.ConfigureResponse, error) {
	return p.configured, nil
}

// TestPluginIgnoresUnknownFields: an older plugin ignores fields that it does not know.
func TestPluginIgnoresUnknownFields(t *testing.T) {
	unknown := []byte{0xa2, 0x06, 3, 'n', 'e', 'w'}
	var got Batch
	var asked ReadOptions
	impl := &implementation[Storage]{opened: true, value: scriptedStorage{
		append: func(_ context.Context, b Batch) error { got = cloneBatch(b); return nil },
		read:   func(_ context.Context, o ReadOptions) (Page, error) { asked = o; return Page{Epoch: 1}, nil },
	}}
	conn, _ := plainConn(t, func(g *grpc.Server) { registerStorage(g, impl) }, ServerOptions()...)
	want := Batch{ID: BatchID{Writer: "w", Sequence: 9}, Apps: []AppEntries{{App: "a", Entries: []Entry{fullEntry()}}}}
	batch := batchToWire(&want)
	batch.ProtoReflect().SetUnknown(unknown)
	batch.Apps[0].ProtoReflect().SetUnknown(unknown)
	batch.Apps[0].Entries[0].ProtoReflect().SetUnknown(unknown)
	client := pluginpb.NewStorageServiceClient(conn)
	if _, err := client.Append(t.Context(), batch); err != nil || !sameBatch(got, want) {
		t.Errorf("append: %v, got %+v", err, got)
	}
	read := &pluginpb.ReadRequest{App: "a", Limit: 3, Filter: &pluginpb.Filter{Source: []pluginpb.Source{77, pluginpb.Source_SOURCE_APP}}}
	read.ProtoReflect().SetUnknown(unknown)
	read.Filter.ProtoReflect().SetUnknown(unknown)
	if _, err := client.Read(t.Context(), read); err != nil || asked.App != "a" || len(asked.Filter.Source) != 2 {
		t.Errorf("read: %v, asked for %+v", err, asked)
	}
}

// TestFiltersWithAPluginThatHasNone: if a plugin does not filter, the host reads everything and
// filters it.
func TestFiltersWithAPluginThatHasNone(t *testing.T) {
	var log []Entry
	for i := range 30 {
		log = append(log, Entry{Position: uint64(i + 1), Published: time.Unix(int64(i), 0), Message: strings.Repeat("x", i)})
	}
	conn, _ := plainConn(t, func(g *grpc.Server) { pluginpb.RegisterStorageServiceServer(g, &unfiltered{log: log}) })
	storage := NewRemoteStorage(conn)
	for limit, want := range map[int]int{-1: 5, 2: 2, 0: 0} {
		page, err := storage.Read(t.Context(), ReadOptions{Limit: limit, Filter: Filter{Include: []string{"x{25}"}}})
		if err != nil || len(page.Entries) != want || page.Last != 30 || want > 0 && page.Entries[want-1].Position != 30 {
			t.Errorf("limit %d: %+v, %v", limit, page, err)
		}
	}
}

type unfiltered struct {
	pluginpb.UnimplementedStorageServiceServer
	log []Entry
}

func (s *unfiltered) Read(_ context.Context, req *pluginpb.ReadRequest) (*pluginpb.ReadResponse, error) {
	if req.GetFilter() != nil {
		return nil, status.Error(codes.Unimplemented, "no filters")
	}
	page := Answer(1, uint64(len(s.log)), slices.Clone(s.log), readRequestFromWire(req))
	return pageToWire(&page), nil
}

// TestMalformedMessagesAreRefused sends bytes that are no message, both ways.
func TestMalformedMessagesAreRefused(t *testing.T) {
	bad := &pluginpb.AppendRequest{}
	bad.ProtoReflect().SetUnknown([]byte{byte(tagOf(3, bytesType)), 5, 1}) // an app that ends early
	impl := &implementation[Storage]{opened: true, value: scriptedStorage{
		append: func(context.Context, Batch) error { t.Error("appended"); return nil },
	}}
	conn, _ := plainConn(t, func(g *grpc.Server) { registerStorage(g, impl) }, ServerOptions()...)
	_, err := pluginpb.NewStorageServiceClient(conn).Append(t.Context(), bad)
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), errWire.Error()) {
		t.Errorf("append: %v", err)
	}
	page := &pluginpb.ReadResponse{}
	page.ProtoReflect().SetUnknown([]byte{byte(tagOf(3, bytesType)), 3, byte(tagOf(11, bytesType)), 1, 0xff}) // an entry that is not text
	conn, _ = plainConn(t, func(g *grpc.Server) { pluginpb.RegisterStorageServiceServer(g, &generatedStorage{page: page}) })
	_, err = NewRemoteStorage(conn).Read(t.Context(), ReadOptions{})
	if err == nil || errors.Is(err, ErrInvalid) || errors.Is(err, ErrPanic) || !strings.Contains(err.Error(), errUTF8.Error()) {
		t.Errorf("read: %v", err)
	}
}

// TestPluginThatEnds ends the plugin's side at every stage of a call. Callers get an error that
// says so, and that does not mention sockets.
func TestPluginThatEnds(t *testing.T) {
	for _, stage := range []string{"before the call", "in append", "in read", "in follow", "in run"} {
		t.Run(stage, func(t *testing.T) {
			began := make(chan struct{}, 1)
			hang := func(ctx context.Context) error {
				began <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}
			impl := &implementation[Storage]{opened: true, value: followingStorage{scriptedStorage{
				append: func(ctx context.Context, _ Batch) error { return hang(ctx) },
				read:   func(ctx context.Context, _ ReadOptions) (Page, error) { return Page{}, hang(ctx) },
			}, hang}}
			delivers := &implementation[Aggregator]{opened: true, value: scriptedAggregator(func(ctx context.Context, _ Deliver) error { return hang(ctx) })}
			conn, kill := plainConn(t, func(g *grpc.Server) {
				registerStorage(g, impl)
				pluginpb.RegisterAggregatorServiceServer(g, &aggregatorServer{impl: delivers})
			}, ServerOptions()...)
			storage, want := NewRemoteStorage(conn), "the storage plugin ended"
			ended := make(chan error, 1)
			switch stage {
			case "before the call":
				kill()
				began <- struct{}{}
				go func() { _, err := storage.Read(t.Context(), ReadOptions{}); ended <- err }()
			case "in append":
				go func() { ended <- storage.Append(t.Context(), Batch{}) }()
			case "in read":
				go func() { _, err := storage.Read(t.Context(), ReadOptions{}); ended <- err }()
			case "in follow":
				go func() { ended <- storage.Follow(t.Context(), "a", Cursor{}, func(Page) error { return nil }) }()
			default:
				want = "the aggregator plugin ended"
				go func() { ended <- NewRemoteAggregator(conn, time.Second).Run(t.Context(), nil) }()
			}
			<-began
			kill()
			if err := <-ended; !errors.Is(err, ErrUnavailable) || err.Error() != want {
				t.Errorf("got %v", err)
			}
		})
	}
}

// followingStorage sends a page, then does as told.
type followingStorage struct {
	scriptedStorage
	hang func(context.Context) error
}

func (s followingStorage) Follow(ctx context.Context, _ string, _ Cursor, yield func(Page) error) error {
	if err := yield(Page{Epoch: 1}); err != nil {
		return err
	}
	return s.hang(ctx)
}

// TestStreamsKeepThePluginsOwnError ends streams with errors of the plugin that gRPC could also
// produce itself.
func TestStreamsKeepThePluginsOwnError(t *testing.T) {
	own := &taggedError{text: "backend at nowhere:1 refuses", sentinel: ErrUnavailable}
	impl := &implementation[Storage]{opened: true, value: followingStorage{hang: func(context.Context) error { return own }}}
	delivers := &implementation[Aggregator]{opened: true, value: scriptedAggregator(func(context.Context, Deliver) error { return own })}
	conn, _ := plainConn(t, func(g *grpc.Server) {
		registerStorage(g, impl)
		pluginpb.RegisterAggregatorServiceServer(g, &aggregatorServer{impl: delivers})
	}, ServerOptions()...)
	err := NewRemoteStorage(conn).Follow(t.Context(), "a", Cursor{}, func(Page) error { return nil })
	if !errors.Is(err, ErrUnavailable) || err.Error() != own.Error() {
		t.Errorf("follow: %v", err)
	}
	err = NewRemoteAggregator(conn, time.Second).Run(t.Context(), nil)
	if !errors.Is(err, ErrUnavailable) || err.Error() != own.Error() {
		t.Errorf("run: %v", err)
	}
}
