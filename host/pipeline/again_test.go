package pipeline

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

// numberedLine returns a numbered line with its publish time, delivered that many times.
func numberedLine(n, attempts int) sdk.Message {
	m := line(n, fmt.Sprintf("app-%d", n%2), fmt.Sprint(n))
	m.Published = time.Date(2026, 1, 2, 3, 0, 0, n, time.UTC)
	m.Attempts = uint32(attempts)
	return m
}

// TestStoredByAHostThatIsGone has a killed host leave messages that it stored but did not
// acknowledge. The next host receives them again, among others.
func TestStoredByAHostThatIsGone(t *testing.T) {
	storage := newStorage(nil)
	first, _, stop := start(t, storage)
	var stored []sdk.Message
	for n := range 3 * lookUpPage {
		stored = append(stored, numberedLine(n, 1))
	}
	await(t, deliver(t, first, stored...))
	stop()

	second, registry, _ := start(t, storage)
	var again []sdk.Message
	for n := 100; n < 4*lookUpPage; n++ { // no host has stored the last ones
		again = append(again, numberedLine(n, 2))
	}
	// One other line has the same time, one has the same text at another time, and one is new.
	sameMoment, sameText := line(9001, "app-0", "another"), line(9002, "app-0", "200")
	sameMoment.Published, sameMoment.Attempts = numberedLine(200, 1).Published, 2
	sameText.Published, sameText.Attempts = numberedLine(201, 1).Published, 2
	again = append(again, sameMoment, sameText, numberedLine(9004, 1))
	await(t, deliver(t, second, again...))

	for app := range 2 {
		var want []string
		for n := app; n < 4*lookUpPage; n += 2 {
			want = append(want, fmt.Sprint(n))
		}
		if app == 0 {
			want = append(want, "another", "200", "9004")
		}
		got := storage.texts(fmt.Sprintf("app-%d", app))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("app-%d has %d entries, want %d", app, len(got), len(want))
		}
	}
	if c := balance(t, registry); c["logger_messages_duplicate_total"] != 3*lookUpPage-100 {
		t.Errorf("%v duplicates, want %d", c["logger_messages_duplicate_total"], 3*lookUpPage-100)
	}
}

// TestLookUps: a message that comes for the first time costs no read of the storage. A message that
// was delivered before waits for a storage that does not answer.
func TestLookUps(t *testing.T) {
	storage := newStorage(nil)
	failures := 3 // of the first reads
	storage.Before = func(_ context.Context, call storagefake.Call) error {
		if call.Method != "Read" || failures == 0 {
			return nil
		}
		failures--
		return errAway
	}
	p, registry, _ := start(t, storage)
	await(t, deliver(t, p, numberedLine(1, 1), numberedLine(2, 1)))
	if n := len(storage.Calls("Read")); n != 0 {
		t.Errorf("%d reads for messages that are new", n)
	}
	await(t, deliver(t, p, numberedLine(3, 2)))
	if got := storage.texts("app-1"); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("app-1 has %q", got)
	}
	if c := balance(t, registry); c["logger_append_retries_total"] != 3 {
		t.Errorf("%v retries, want 3", c["logger_append_retries_total"])
	}
}

// TestStoredRecordsOfOneMessage has more records with one time than a page has entries.
func TestStoredRecordsOfOneMessage(t *testing.T) {
	storage := newStorage(nil)
	m := numberedLine(1, 1)
	m.Payload = nil
	for n := range 3 * lookUpPage {
		m.Payload = append(m.Payload, line(n, "app", fmt.Sprint(n)).Payload...)
	}
	first, _, stop := start(t, storage)
	await(t, deliver(t, first, m))
	stop()
	second, registry, _ := start(t, storage)
	m.Attempts = 2
	later := line(2, "app", "later")
	later.Published, later.Attempts = m.Published.Add(time.Second), 2
	await(t, deliver(t, second, m, later))
	if n := len(storage.texts("app")); n != 3*lookUpPage+1 {
		t.Errorf("%d entries, want %d", n, 3*lookUpPage+1)
	}
	if n := balance(t, registry)["logger_messages_duplicate_total"]; n != 3*lookUpPage {
		t.Errorf("%v duplicates, want %d", n, 3*lookUpPage)
	}
}
