package pipeline

import (
	"testing"

	"github.com/deis/logger/internal/corpus"
	"github.com/deis/logger/sdk"
)

// BenchmarkDecode decodes an ordinary line of an app.
func BenchmarkDecode(b *testing.B) {
	d := testDecoder()
	m := &sdk.Message{Payload: corpus.Messages()[1]}
	b.SetBytes(int64(len(m.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := d.decode(m); err != nil {
			b.Fatal(err)
		}
	}
}
