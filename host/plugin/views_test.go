package plugin

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/pluginpb"
	"github.com/deis/logger/sdk/plugintest"
)

// generatedStorage is a plugin in another language: it has what is sent, and no more.
type generatedStorage struct {
	pluginpb.UnimplementedStorageServiceServer
	entries []*pluginpb.Entry
}

func (g *generatedStorage) Append(_ context.Context, req *pluginpb.AppendRequest) (*pluginpb.AppendResponse, error) {
	g.entries = req.GetApps()[0].GetEntries()
	return &pluginpb.AppendResponse{}, nil
}

// TestLabelsAreSentToWhoNeedsThem: only a plugin that says that it knows what is left out is sent
// less than all of an entry.
func TestLabelsAreSentToWhoNeedsThem(t *testing.T) {
	entries := []sdk.Entry{{Pod: "web-1", Message: "one"}, {Pod: "web-1", Message: "two"}}
	batch := sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: 1}, Apps: []sdk.AppEntries{{App: "app", Entries: entries}}}
	for _, knows := range []bool{false, true} {
		storage := new(generatedStorage)
		conn := plugintest.Serve(t, func(s *grpc.Server) { pluginpb.RegisterStorageServiceServer(s, storage) })
		inst := &Instance{Conn: conn, Capabilities: sdk.Capabilities{SameLabels: knows}}
		if err := remoteStorage(inst).Append(t.Context(), batch); err != nil || len(storage.entries) != 2 {
			t.Fatalf("%d entries, %v", len(storage.entries), err)
		}
		if e := storage.entries[0]; e.GetPod() != "web-1" || e.GetSameLabels() != 0 {
			t.Errorf("the first of a plugin that knows (%t): %v", knows, e)
		}
		if e := storage.entries[1]; (e.GetSameLabels() != 0) != knows || (e.GetPod() == "web-1") == knows {
			t.Errorf("the second of a plugin that knows (%t): %v", knows, e)
		}
	}
}
