package pipeline

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

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
	m := &sdk.Message{Payload: ordinary("foo")}
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

// discard is a storage that takes everything at once, and counts.
type discard struct{ entries, batches int }

func (*discard) Wait(context.Context) error { return nil }

func (s *discard) Append(_ context.Context, b sdk.Batch) error {
	s.entries += b.Len()
	s.batches++
	return nil
}

// BenchmarkPipeline is per message: delivered, decoded, grouped, appended to a storage
// that costs nothing, and acknowledged. The messages are as an aggregator has them in
// flight: ten deliveries of 200 in turn.
func BenchmarkPipeline(b *testing.B) {
	for _, apps := range []int{10, 50, 10_000} {
		b.Run(fmt.Sprintf("apps=%d", apps), func(b *testing.B) {
			storage := &discard{}
			p := New(Options{
				Storage: storage, Logger: hclog.NewNullLogger(), Registry: prometheus.NewRegistry(),
				MaxLineBytes: 64 << 10, AppendTimeout: time.Minute,
			})
			ctx, cancel := context.WithCancel(b.Context())
			var running sync.WaitGroup
			running.Go(func() { _ = p.Run(ctx) })
			payloads := make([][]byte, apps)
			for i := range payloads {
				payloads[i] = ordinary(fmt.Sprintf("app-%d", i))
			}
			const perDelivery, inFlight = 200, 10
			var receipts [inFlight]*sdk.Receipt
			messages := make([]sdk.Message, perDelivery) // Deliver keeps none of them
			const id = "0123456789abcdef"
			n := 0
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				for i := range messages {
					n++
					messages[i] = sdk.Message{ID: id, Published: time.Unix(0, int64(n)), Attempts: 1, Payload: payloads[n%apps]}
				}
				if r := receipts[n/perDelivery%inFlight]; r != nil {
					<-r.Done()
				}
				r, err := p.Deliver(ctx, messages)
				if err != nil {
					b.Fatal(err)
				}
				receipts[n/perDelivery%inFlight] = r
			}
			cpu := cpuTime(b) - before
			cancel()
			running.Wait()
			b.ReportMetric(cpu/float64(n), "cpu-ns/msg")
			b.ReportMetric(float64(storage.entries)/float64(storage.batches), "msg/batch")
		})
	}
}

// ordinary is a message of 730 bytes, with a line of 200.
func ordinary(app string) []byte {
	return fmt.Appendf(nil, `{"log": "%s\n", "stream": "stdout", "docker": {"container_id": "6a9069435788a05531ee2b9afbcdc73a22018af595f3203cb67e06f50103bf5f"}, `+
		`"kubernetes": {"namespace_name": "%[2]s", "pod_id": "34ebc234-2423-11e6-94aa-42010a800021", "pod_name": "%[2]s-web-845861952-nzf60", `+
		`"container_name": "%[2]s-web", "labels": {"app": "%[2]s", "heritage": "deis", "type": "web", "version": "v2"}, "host": "node-10ye"}, `+
		`"time": "2016-10-18T20:29:39.123456+00:00"}`, strings.Repeat("10.164.1.1 GET / - 5", 10), app)
}
