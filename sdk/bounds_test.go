package sdk

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/deis/logger/sdk/pluginpb"
)

// greedy stands for a plugin in another language, which answers whatever it likes.
type greedy struct {
	pluginpb.UnimplementedStorageServiceServer
	pluginpb.UnimplementedAggregatorServiceServer
	page *pluginpb.ReadResponse
	err  error
}

func (g *greedy) Read(context.Context, *pluginpb.ReadRequest) (*pluginpb.ReadResponse, error) {
	return g.page, g.err
}

func (g *greedy) Follow(_ *pluginpb.FollowRequest, stream grpc.ServerStreamingServer[pluginpb.FollowResponse]) error {
	return errors.Join(stream.Send(&pluginpb.FollowResponse{Page: g.page}), g.err)
}

func (g *greedy) Apps(_ context.Context, req *pluginpb.AppsRequest) (*pluginpb.AppsResponse, error) {
	n := req.GetLimit() + 1
	if n > 4 {
		n = 1 << 20
	}
	apps := make([]*pluginpb.AppInfo, n)
	for i := range apps {
		apps[i] = &pluginpb.AppInfo{}
	}
	return &pluginpb.AppsResponse{Apps: apps}, nil
}

func (g *greedy) Run(stream grpc.BidiStreamingServer[pluginpb.RunRequest, pluginpb.RunResponse]) error {
	messages := make([]*pluginpb.Message, 100_000)
	for i := range messages {
		messages[i] = &pluginpb.Message{}
	}
	return stream.Send(&pluginpb.RunResponse{Batch: 1, Messages: messages})
}

func pageOf(n int, text string) *pluginpb.ReadResponse {
	page := &pluginpb.ReadResponse{Epoch: 1, First: 1, Last: uint64(n)}
	for range n {
		page.Entries = append(page.Entries, &pluginpb.Entry{Message: text})
	}
	return page
}

// TestAnswersAreBounded: an answer is bounded by the request, and otherwise by the limits of an
// answer.
func TestAnswersAreBounded(t *testing.T) {
	read := func(limit int) func(*RemoteStorage) error {
		return func(s *RemoteStorage) error {
			_, err := s.Read(t.Context(), ReadOptions{App: "a", Limit: limit})
			return err
		}
	}
	follow := func(s *RemoteStorage) error {
		return s.Follow(t.Context(), "a", Cursor{}, func(Page) error { return nil })
	}
	for name, tc := range map[string]struct {
		page *pluginpb.ReadResponse
		call func(*RemoteStorage) error
		want string // "" if there is no error
	}{
		"as many entries as asked":   {pageOf(3, "x"), read(3), ""},
		"as large as a page may be":  {pageOf(7, strings.Repeat("x", 1<<20)), read(-1), ""},
		"more entries than asked":    {pageOf(4, "x"), read(3), "4 entries where at most 3 may be"},
		"more entries than a page":   {pageOf(140_000, ""), read(-1), "140000 entries where at most 131072 may be"},
		"16 MiB":                     {pageOf(16, strings.Repeat("x", 1<<20)), read(-1), "larger than max"},
		"16 MiB for one entry asked": {pageOf(1, strings.Repeat("x", 16<<20)), read(1), "larger than max"},
		"16 MiB that were followed":  {pageOf(16, strings.Repeat("x", 1<<20)), follow, "larger than max"},
		"a list of empty apps": {nil, func(s *RemoteStorage) error {
			_, err := s.Apps(t.Context(), "", 10)
			return err
		}, "larger than max"},
		"more apps than asked": {nil, func(s *RemoteStorage) error {
			_, err := s.Apps(t.Context(), "", 3)
			return err
		}, "4 apps where at most 3 may be"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &greedy{page: tc.page}
			conn := connect(t, func(s *grpc.Server) { pluginpb.RegisterStorageServiceServer(s, g) })
			err := tc.call(NewRemoteStorage(conn))
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrContract) || errors.Is(err, ErrFull) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %.300v, want %s", err, tc.want)
			}
		})
	}
}

func TestBatchesAreBounded(t *testing.T) {
	conn := connect(t, func(s *grpc.Server) { pluginpb.RegisterAggregatorServiceServer(s, &greedy{}) })
	err := NewRemoteAggregator(conn, 0).Run(t.Context(), func(context.Context, []Message) (*Receipt, error) {
		t.Error("it was delivered")
		return nil, ErrStopping
	})
	if !errors.Is(err, ErrContract) || !strings.Contains(err.Error(), "100000 messages where at most 65536 may be") {
		t.Errorf("got %v", err)
	}
}

// TestErrorsAreBounded includes errors of a plugin that does not use this package.
func TestErrorsAreBounded(t *testing.T) {
	for size, want := range map[int]error{5000: ErrFull, 1 << 20: nil} {
		g := &greedy{err: status.Error(codes.ResourceExhausted, "no room\n"+strings.Repeat("x", size))}
		conn := connect(t, func(s *grpc.Server) { pluginpb.RegisterStorageServiceServer(s, g) })
		_, err := NewRemoteStorage(conn).Read(t.Context(), ReadOptions{App: "a", Limit: 1})
		if err == nil || len(err.Error()) > 1000 || strings.Contains(err.Error(), "\n") || want != nil && !errors.Is(err, want) {
			t.Errorf("an error of %d bytes: %.200v (%d bytes)", size, err, len(err.Error()))
		}
	}
}
