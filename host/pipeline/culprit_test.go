package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deis/logger/sdk"
)

// failingOn returns a function that fails with err on a batch that has an entry with that text.
func failingOn(text string, err error) func(sdk.Batch) error {
	return func(b sdk.Batch) error {
		for _, a := range b.Apps {
			if slices.ContainsFunc(a.Entries, func(e sdk.Entry) bool { return strings.Contains(e.Message, text) }) {
				return err
			}
		}
		return nil
	}
}

// TestALineThatStorageFailsOn: if storage fails on a line without refusing it, the line is found
// and rejected, and delays the others only briefly.
func TestALineThatStorageFailsOn(t *testing.T) {
	for name, failure := range map[string]error{
		"panic":        fmt.Errorf("index out of range: %w", sdk.ErrPanic),
		"no identity":  errors.New("column too long"),
		"ends with it": fmt.Errorf("the storage plugin ended: %w", sdk.ErrEnded),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				storage := newStorage(failingOn("spicy", failure))
				p, registry, stop := start(t, storage)
				var messages []sdk.Message
				want := map[string]int{}
				for n := range 400 {
					text, app := fmt.Sprint("line ", n), fmt.Sprintf("app-%d", n%7)
					if n == 123 {
						text = "spicy"
					} else {
						want[app]++
					}
					messages = append(messages, line(n, app, text))
				}
				await(t, deliver(t, p, messages...))
				for app, n := range want {
					if got := len(storage.texts(app)); got != n {
						t.Errorf("%s has %d entries, want %d", app, got, n)
					}
				}
				if c := balance(t, registry); c["logger_messages_rejected_total{storage_failed}"] != 1 {
					t.Errorf("counts %v", c)
				}
				stop()
			})
		})
	}
}

// TestALoneLineThatStorageFailsOn: a single line waits for others, which show whether the line or
// the storage is at fault.
func TestALoneLineThatStorageFailsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newStorage(failingOn("spicy", sdk.ErrPanic))
		p, registry, stop := start(t, storage)
		lone := deliver(t, p, line(1, "a", "spicy"))
		for range 100 {
			synctest.Wait()
			if isDone(lone) {
				t.Fatal("it was rejected, although storage never stored anything")
			}
			<-time.After(time.Second)
		}
		await(t, deliver(t, p, line(2, "b", "mild")))
		await(t, lone)
		if got := storage.texts("b"); !slices.Equal(got, []string{"mild"}) {
			t.Errorf("b has %q", got)
		}
		if c := balance(t, registry); c["logger_messages_rejected_total{storage_failed}"] != 1 {
			t.Errorf("counts %v", c)
		}
		stop()
	})
}

// TestAStorageThatFailsOnEverything loses no line, and neither does one whose backend is away.
func TestAStorageThatFailsOnEverything(t *testing.T) {
	for name, failure := range map[string]error{"tables gone": errors.New("no such table"), "full": sdk.ErrFull, "away": errAway} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var broken atomic.Bool
				broken.Store(true)
				n := 0
				storage := newStorage(func(sdk.Batch) error {
					// Some failed appends are stored all the same, and some appends reach a backend
					// that is away.
					if n++; broken.Load() && n%3 == 0 || !errors.Is(failure, sdk.ErrUnavailable) && broken.Load() {
						return failure
					}
					return nil
				})
				p, registry, stop := start(t, storage)
				var messages []sdk.Message
				for n := range 100 {
					messages = append(messages, line(n, fmt.Sprintf("app-%d", n%3), fmt.Sprint("line ", n)))
				}
				receipt := deliver(t, p, messages...)
				<-time.After(time.Minute)
				broken.Store(false)
				await(t, receipt)
				total := 0
				for app := range 3 {
					total += len(storage.texts(fmt.Sprintf("app-%d", app)))
				}
				if total != len(messages) {
					t.Errorf("%d entries, want %d", total, len(messages))
				}
				if c := balance(t, registry); c["logger_messages_rejected_total{storage_failed}"] != 0 {
					t.Errorf("counts %v", c)
				}
				stop()
			})
		})
	}
}

// TestAPartThatWasStored: if storage stored part of a batch and failed on the rest, that part is
// not stored again.
func TestAPartThatWasStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := failingOn("spicy", sdk.ErrPanic)
		var storage *testStorage
		storage = newStorage(func(b sdk.Batch) error {
			err := failing(b)
			if err == nil {
				return nil
			}
			for _, a := range b.Apps { // stores the beginning of each, as the contract allows
				if len(storage.texts(a.App)) == 0 {
					storage.Add(a.App, a.Entries[:min(3, len(a.Entries)-1)]...)
				}
			}
			return err
		})
		p, _, stop := start(t, storage)
		var messages []sdk.Message
		for n := range 20 {
			text := fmt.Sprint("line ", n)
			if n == 11 {
				text = "spicy"
			}
			m := line(n, "a", text)
			m.Published = time.Date(2026, 1, 2, 3, 0, 0, n, time.UTC)
			messages = append(messages, m)
		}
		await(t, deliver(t, p, messages...))
		got := storage.texts("a")
		slices.Sort(got)
		if len(got) != 19 || len(slices.Compact(got)) != 19 {
			t.Errorf("%d entries, want 19 different ones: %q", len(got), got)
		}
		stop()
	})
}
