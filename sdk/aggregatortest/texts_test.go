package aggregatortest

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// textQueue holds texts that are no records.
type textQueue struct{ *queue }

func (textQueue) Text(payload []byte) ([]byte, error) {
	var record struct{ Log string }
	err := json.Unmarshal(payload, &record)
	return []byte(record.Log), err
}

// recorder turns each text into a record.
type recorder struct {
	sdk.Aggregator
	record func(text []byte) []byte
}

func (r recorder) Run(ctx context.Context, deliver sdk.Deliver) error {
	return r.Aggregator.Run(ctx, func(ctx context.Context, messages []sdk.Message) (*sdk.Receipt, error) {
		for i := range messages {
			messages[i].Payload = r.record(messages[i].Payload)
		}
		return deliver(ctx, messages)
	})
}

func asRecord(text []byte) []byte {
	payload, _ := json.Marshal(map[string]string{"log": string(text)}) // a string can always be encoded
	return payload
}

func recording(record func([]byte) []byte) opener {
	return func(plugintest.T) (Transport, func() sdk.Aggregator) {
		q := newQueue()
		aggregator := func() sdk.Aggregator { return recorder{&reference{queue: q}, record} }
		return textQueue{q}, aggregator
	}
}

// TestTextsBecomeRecords runs the suite on an aggregator whose transport carries plain texts.
func TestTextsBecomeRecords(t *testing.T) {
	results, _ := report(t, func(<-chan struct{}) opener { return recording(asRecord) })
	for _, r := range results {
		if r.Outcome != plugintest.Passed && r.Check != "Check" && r.Check != "TransportAway" && r.Check != "Queues" { // the recorder hides the methods of these
			t.Errorf("%s: %s: %q", r.Check, r.Outcome, r.Lines)
		}
	}
}

// TestFaultsOfRecordsAreFound breaks the records and expects their checks to fail.
func TestFaultsOfRecordsAreFound(t *testing.T) {
	for name, record := range map[string]func([]byte) []byte{
		"trims texts":    func(text []byte) []byte { return asRecord(bytes.TrimSpace(text)) },
		"delivers texts": bytes.Clone,
		"guesses a record": func(text []byte) []byte {
			if json.Valid(text) {
				return bytes.Clone(text)
			}
			return asRecord(text)
		},
	} {
		results, _ := report(t, func(<-chan struct{}) opener { return recording(record) }, "Payload", "Records")
		failed := 0
		for _, r := range results {
			if r.Outcome == plugintest.Failed {
				failed++
			}
		}
		if failed == 0 {
			t.Errorf("%s: neither check found it: %+v", name, results)
		}
	}
}
