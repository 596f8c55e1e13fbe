package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deis/logger/sdk"
)

// largeLog has pages that take a moment, of entries of 64 KiB. Its app "few" has little.
// It counts how many reads go on at once.
type largeLog struct {
	entries   uint64
	takes     time.Duration // a page of the large log
	now, most atomic.Int32
}

func (s *largeLog) Read(ctx context.Context, o sdk.ReadOptions) (sdk.Page, error) {
	if o.App == "few" {
		return (&fakeStorage{entries: map[string][]sdk.Entry{"few": numbered(100)}}).Read(ctx, o)
	}
	page := sdk.Page{Epoch: 1, First: 1}
	if o.After.Epoch == 1 {
		page.First = o.After.Position + 1
	}
	if o.Limit == 0 {
		page.First = s.entries + 1
		return page, nil
	}
	if o.Limit == 1 {
		page.Entries = make([]sdk.Entry, 1)
		return page, nil
	}
	if now := s.now.Add(1); now > s.most.Load() {
		s.most.Store(now)
	}
	defer s.now.Add(-1)
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return page, ctx.Err()
	}
	if o.After.IsZero() && o.Limit > 0 {
		page.First = s.entries - min(s.entries, uint64(o.Limit)) + 1
	}
	for p := page.First; p <= s.entries && len(page.Entries) != o.Limit; p++ {
		if len(page.Entries) == 16 {
			page.More = true
			break
		}
		page.Entries = append(page.Entries, sdk.Entry{Message: largeText})
	}
	return page, nil
}

func (*largeLog) Delete(context.Context, string) error { return nil }

var largeText = strings.Repeat("x", 64<<10)

// TestManyReadersOfALargeLog has more readers than there is memory or time for: what the
// answers hold stays within its bound, those who are refused are so at once, and there are
// as many answers as fit the time.
func TestManyReadersOfALargeLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &largeLog{entries: 2000, takes: 10 * time.Millisecond} // 125 MiB, 1.25 s
		a := newAPI(s)
		a.opts.StorageTimeout = 6 * time.Second
		ledger := a.readers.largeBytes
		var right, refused atomic.Int32
		var readers sync.WaitGroup
		for range 60 {
			readers.Go(func() {
				began := time.Now()
				text, err := a.gather(t.Context(), "large", -1)
				took := time.Since(began)
				ledger.mu.Lock()
				held := ledger.held
				ledger.mu.Unlock()
				if most := largeBytes + 140<<20; held > most {
					t.Errorf("%d MiB are held, want at most %d", held>>20, most>>20)
				}
				if took > a.opts.StorageTimeout {
					t.Errorf("answered after %s", took)
				}
				if err != nil && sdk.HTTPStatus(err) == http.StatusServiceUnavailable {
					refused.Add(1)
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				right.Add(1)
				time.Sleep(100 * time.Millisecond) // it is sent
				text.release()
			})
		}
		readers.Wait()
		if right.Load() < 3 || right.Load()+refused.Load() != 60 {
			t.Errorf("%d were answered, %d refused, of 60", right.Load(), refused.Load())
		}
		if places := a.readers.largeTurns.places; int(s.most.Load()) > a.readers.smallTurns.places+places {
			t.Errorf("%d reads at once", s.most.Load())
		}
		// It has learnt how long it takes.
		end, _ := a.readers.largeTurns.take(t.Context())
		defer end(true)
		for range a.readers.largeTurns.places - 1 {
			end, _ := a.readers.largeTurns.take(t.Context())
			defer end(true)
		}
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := a.readers.largeTurns.take(hasty); !errors.Is(err, sdk.ErrUnavailable) || time.Since(began) > 0 {
			t.Errorf("with a second left: %v after %s, want a refusal at once", err, time.Since(began))
		}
		// What is small does not wait: neither the newest lines nor a short log.
		for app, limit := range map[string]int{"few": -1, "large": 10} {
			text, err := a.gather(t.Context(), app, limit)
			if err != nil || text.size == 0 {
				t.Fatalf("%s: %v while large answers have all turns", app, err)
			}
			text.release()
		}
		if ledger.held != 0 || a.readers.smallBytes.held != 0 || len(ledger.growing) != 0 {
			t.Errorf("%d and %d bytes are held at the end", ledger.held, a.readers.smallBytes.held)
		}
	})
}

// TestTurnsAreInOrder has five wait, one of whom leaves.
func TestTurnsAreInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := &turns{places: 1}
		end, err := turns.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var order []int
		var waiting sync.WaitGroup
		for i := range 5 {
			waiting.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i == 2 {
					time.AfterFunc(time.Millisecond, cancel)
				}
				end, err := turns.take(ctx)
				if (err != nil) != (i == 2) {
					t.Errorf("%d: %v", i, err)
				}
				if err == nil {
					order = append(order, i) // has the only turn
					end(true)
				}
			})
			synctest.Wait()
		}
		time.Sleep(time.Second)
		end(true)
		waiting.Wait()
		if fmt.Sprint(order) != "[0 1 3 4]" || turns.taken != 0 {
			t.Errorf("the order was %v, %d turns are left taken", order, turns.taken)
		}
	})
}

// TestLedger has two answers grow beyond the limit: the elder gets on, the other one when
// that is sent.
func TestLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(100)
		elder, younger := l.open(), l.open()
		for _, h := range []*hold{elder, younger} {
			if err := h.grow(t.Context(), 50); err != nil {
				t.Fatal(err)
			}
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := younger.grow(soon, 1); !errors.Is(err, sdk.ErrUnavailable) {
			t.Errorf("the younger one: %v, want no room", err)
		}
		if err := elder.grow(t.Context(), 200); err != nil {
			t.Error(err)
		}
		elder.gathered()
		got := make(chan error, 1)
		go func() { got <- younger.grow(t.Context(), 60) }()
		synctest.Wait()
		select {
		case err := <-got:
			t.Errorf("the younger one grew at the cost of what is sent: %v", err)
		default:
		}
		elder.set(10) // the rest is sent
		synctest.Wait()
		select {
		case err := <-got:
			t.Errorf("the younger one grew beyond the limit: %v", err)
		default:
		}
		elder.close()
		if err := <-got; err != nil || l.held != 110 {
			t.Errorf("held %d, %v", l.held, err)
		}
		if _, ok := l.try(1); ok {
			t.Error("more is held than the limit")
		}
		younger.close()
		if h, ok := l.try(100); !ok || l.held != 100 {
			t.Error("no room although nothing is held")
		} else {
			h.close()
		}
	})
}

// TestSlowClients has four clients of large answers that take nothing: another one gets
// its answer all the same, after a while at most, and small answers at once.
func TestSlowClients(t *testing.T) {
	a := newAPI(&largeLog{entries: 320}) // 20 MiB
	addr := serve(t, a)
	for range 4 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		if _, err := io.WriteString(c, "GET /logs/large?log_lines=-1 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(20 * time.Second); ; {
		a.readers.largeBytes.mu.Lock()
		sending := len(a.readers.largeBytes.sending)
		a.readers.largeBytes.mu.Unlock()
		if sending >= 1 { // there is no room for another
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is sent")
		}
		time.Sleep(time.Millisecond)
	}
	if n, err := get(client, "http://"+addr+"/logs/large?log_lines=10"); err != nil || n < 10<<16 {
		t.Errorf("a small answer: %d bytes, %v", n, err)
	}
	if n, err := get(client, "http://"+addr+"/logs/large?log_lines=-1"); err != nil || n < 320<<16 {
		t.Errorf("a fast client: %d bytes, %v", n, err)
	}
}

// blocked is a client that takes nothing; it notes until when it may go on so.
type blocked struct {
	http.ResponseWriter
	until time.Time
}

func (b *blocked) SetWriteDeadline(t time.Time) error { b.until = t; return nil }

// TestPaceOfAClient has one wait for the room that another's answer takes.
func TestPaceOfAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(1000)
		slow, _ := l.try(1000)
		b := &blocked{ResponseWriter: httptest.NewRecorder()}
		slow.send(http.NewResponseController(b))
		began := time.Now()
		slow.step(0, leastRate)
		if want := patience + time.Second; b.until.Sub(began) != want {
			t.Errorf("it has %s, want %s", b.until.Sub(began), want)
		}
		other := l.open()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := other.grow(ctx, 1); !errors.Is(err, sdk.ErrUnavailable) {
			t.Error(err)
		}
		if want := busyPatience + time.Second*sendBytes/leastBusyRate; b.until.Sub(began) != want {
			t.Errorf("while another waits it has %s, want %s", b.until.Sub(began), want)
		}
		slow.close()
		other.close()
	})
}
