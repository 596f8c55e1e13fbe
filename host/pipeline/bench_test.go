package pipeline

import (
	"syscall"
	"testing"

	"github.com/deis/logger/internal/corpus"
	"github.com/deis/logger/sdk"
)

// cpuTime is the processor time that this process has used, in nanoseconds: on a busy
// machine it says more than the clock.
func cpuTime(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDecode decodes an ordinary line of an app, and for comparison with the
// library that the tests compare with.
func BenchmarkDecode(b *testing.B) {
	m := &sdk.Message{Payload: corpus.Messages()[1]}
	run := func(name string, decode func(e *sdk.Entry) error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(m.Payload)))
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				var e sdk.Entry
				if err := decode(&e); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
	d := testDecoder()
	d.maxLine = 64 << 10
	run("scanner", func(e *sdk.Entry) error { _, err := d.decode(m, e); return err })
	o := oracle{maxLine: d.maxLine, now: d.now}
	run("library", func(*sdk.Entry) error { _, _, err := o.decode(m); return err })
}
