package sdk_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/storagetest"
)

// storage keeps the newest entries of each app in memory, and does no more than the contract
// requires: it cannot be followed and does not list its apps.
type storage struct {
	lines int

	mu   sync.Mutex
	logs map[string]*appLog
}

// appLog holds an app's log from its beginning to its end.
type appLog struct {
	epoch   uint64
	last    uint64      // position of the entry that arrived last
	entries []sdk.Entry // in the order of publishing
	marks   sdk.Marks
}

type settings struct {
	Lines int `env:"NUMBER_OF_LINES" default:"1000" min:"1" doc:"entries kept of each app"`
}

func open(_ context.Context, set settings, _ sdk.Host) (sdk.Storage, error) {
	return &storage{lines: set.Lines, logs: map[string]*appLog{}}, nil
}

func (s *storage) Append(_ context.Context, batch sdk.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, group := range batch.Apps {
		if len(group.Entries) == 0 {
			continue
		}
		log := s.logs[group.App]
		if log == nil {
			// The epoch is random because cursors outlive this process. It is not 0, which means no
			// log.
			log = &appLog{epoch: rand.Uint64() | 1}
			s.logs[strings.Clone(group.App)] = log
		}
		if log.marks.Stored(batch.ID) {
			continue
		}
		log.marks.Add(batch.ID)
		for _, e := range group.Entries {
			// Each string shares the memory of its whole batch; a copy does not keep that alive.
			for _, text := range []*string{&e.Process, &e.Release, &e.Pod, &e.Container, &e.Stream, &e.Host, &e.Message} {
				*text = strings.Clone(*text)
			}
			log.last++
			e.Position = log.last
			log.entries = append(log.entries, e)
		}
		// The entries published first are evicted, whenever they arrived.
		slices.SortFunc(log.entries, func(a, b sdk.Entry) int {
			return cmp.Or(a.Published.Compare(b.Published), cmp.Compare(a.Position, b.Position))
		})
		if over := len(log.entries) - s.lines; over > 0 {
			log.entries = slices.Clone(log.entries[over:])
		}
	}
	return nil
}

func (s *storage) Read(_ context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.logs[opts.App]
	if log == nil {
		return sdk.Page{}, nil
	}
	return sdk.Answer(log.epoch, log.last, slices.Clone(log.entries), opts), nil
}

func (s *storage) Delete(_ context.Context, app string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.logs, app)
	return nil
}

// A whole plugin consists of a storage, its settings, and this main function. A host starts it.
func ExampleServeStorage() {
	main := func() {
		sdk.ServeStorage(sdk.Info{Name: "example", Version: "1.0.0", Doc: "keeps lines in memory"}, open)
	}
	_ = main
}

// A host appends a batch, and repeats it if it did not hear of the outcome. It reads the newest
// entries, or those that arrived after a cursor.
func ExampleStorage() {
	ctx := context.Background()
	s, err := open(ctx, settings{Lines: 2}, sdk.Host{})
	if err != nil {
		fmt.Println(err)
		return
	}
	at := func(minute int, message string) sdk.Entry {
		return sdk.Entry{Published: time.Date(2026, 1, 2, 15, minute, 0, 0, time.UTC), Message: message}
	}
	for i, entries := range [][]sdk.Entry{
		{at(1, "one"), at(3, "three"), at(4, "four")},
		{at(1, "one"), at(3, "three"), at(4, "four")}, // the same batch again
		{at(2, "two, which comes late"), at(5, "five")},
	} {
		batch := sdk.Batch{
			ID:   sdk.BatchID{Writer: "host-1", Sequence: uint64(1 + i/2)},
			Apps: []sdk.AppEntries{{App: "foo", Entries: entries}},
		}
		if err := s.Append(ctx, batch); err != nil {
			fmt.Println(err)
			return
		}
	}
	page, err := sdk.ReadFiltered(ctx, s, sdk.ReadOptions{App: "foo", Limit: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range page.Entries {
		fmt.Println(e.Position, e.Message)
	}
	rest, err := sdk.ReadFiltered(ctx, s, sdk.ReadOptions{App: "foo", Limit: -1, After: sdk.Cursor{Epoch: page.Epoch, Position: 3}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("after 3:", rest.Entries[0].Message, "and gone:", rest.Gone)
	// Output:
	// 3 four
	// 5 five
	// after 3: five and gone: 1
}

// following adds Follow: every change wakes the followers of the app.
type following struct {
	*storage
	followers sdk.Followers
}

func (f *following) Append(ctx context.Context, batch sdk.Batch) error {
	err := f.storage.Append(ctx, batch)
	for _, group := range batch.Apps {
		f.followers.Wake(group.App)
	}
	return err
}

func (f *following) Delete(ctx context.Context, app string) error {
	defer f.followers.Wake(app)
	return f.storage.Delete(ctx, app)
}

func (f *following) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	wake, leave := f.followers.Join(app)
	defer leave()
	return sdk.FollowByReading(ctx, f, app, after, wake, yield)
}

// A storage can be followed if its backend tells of changes. Follow joins the followers, and reads
// again whenever an append wakes it.
func ExampleFollower() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var s sdk.Follower = &following{storage: &storage{lines: 100, logs: map[string]*appLog{}}}

	seen, ended := make(chan string), make(chan error)
	go func() {
		ended <- s.Follow(ctx, "foo", sdk.Beginning(), func(page sdk.Page) error {
			for _, e := range page.Entries {
				seen <- e.Message
			}
			return nil
		})
	}()
	for i, message := range []string{"one", "two"} {
		batch := sdk.Batch{
			ID:   sdk.BatchID{Writer: "host-1", Sequence: uint64(i + 1)},
			Apps: []sdk.AppEntries{{App: "foo", Entries: []sdk.Entry{{Published: time.Now(), Message: message}}}},
		}
		if err := s.(sdk.Storage).Append(ctx, batch); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(<-seen)
	}
	cancel()
	fmt.Println(<-ended)
	// Output:
	// one
	// two
	// context canceled
}

// queue holds a transport in this process. A message stays in it until it is acknowledged.
type queue struct{ waiting chan string }

// Run hands over one message after the other, and acknowledges those that are stored.
func (q *queue) Run(ctx context.Context, deliver sdk.Deliver) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case text := <-q.waiting:
			// When ctx ends, a message under way must not be cut off: its receipt resolves soon,
			// and tells what became of it.
			under := context.WithoutCancel(ctx)
			receipt, err := deliver(under, []sdk.Message{{ID: text, Payload: []byte(text)}})
			if err == nil {
				err = receipt.Wait(under)
			}
			if err != nil {
				q.waiting <- text // back into the queue
				if ctx.Err() != nil {
					return nil
				}
				return err // the host starts the plugin again
			}
			fmt.Println("acknowledged:", text)
		}
	}
}

// An aggregator acknowledges a message to its transport when the host's receipt says that the
// message is stored. If the receipt failed, it gives the message back.
func ExampleAggregator() {
	q := &queue{waiting: make(chan string, 10)}
	q.waiting <- "one"
	q.waiting <- "two"

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	host := func(_ context.Context, messages []sdk.Message) (*sdk.Receipt, error) {
		receipt := sdk.NewReceipt()
		if string(messages[0].Payload) == "two" {
			stop()
			receipt.Resolve(sdk.ErrStopping)
		} else {
			receipt.Resolve(nil)
		}
		return receipt, nil
	}
	fmt.Println("ended:", q.Run(ctx, host))
	fmt.Println("in the queue:", <-q.waiting)
	// Output:
	// acknowledged: one
	// ended: <nil>
	// in the queue: two
}

// The tags of a struct declare settings. A bad value is refused in one line.
func ExampleLoadSettings() {
	env := map[string]string{"NUMBER_OF_LINES": "0"}
	_, err := sdk.LoadSettings[settings](func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	fmt.Println(err)
	// Output: NUMBER_OF_LINES="0": want a whole number of at least 1
}

// TestExampleKeepsTheContract: the documented example passes the suite, also over gRPC, where only
// the answer of a call tells which methods it lacks.
func TestExampleKeepsTheContract(t *testing.T) {
	opened := func(t *testing.T, lines int) sdk.Storage {
		s, err := open(t.Context(), settings{Lines: lines}, sdk.Host{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("direct", func(t *testing.T) { storagetest.Run(t, opened) })
	t.Run("remote", func(t *testing.T) { storagetest.RunRemote(t, opened) })
	t.Run("followed", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T, lines int) sdk.Storage {
			return &following{storage: opened(t, lines).(*storage)}
		})
	})
}
