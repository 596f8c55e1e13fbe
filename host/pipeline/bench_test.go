package pipeline

import (
	"bytes"
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

// cpuTime returns the processor time that this process has used, in nanoseconds. On a busy machine,
// it tells more than the clock.
func cpuTime(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDecode decodes ordinary lines of several containers in turn, with our decoder and, for
// comparison, with the tests' JSON library. Strangers are containers that write only one line each.
// At the start, all containers that can be known are known.
func BenchmarkDecode(b *testing.B) {
	run := func(name string, payloads [][]byte, next func(payload []byte), decode func(m *sdk.Message) error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(payloads[0])))
			b.ReportAllocs()
			n := 0
			round := func() {
				m := sdk.Message{Payload: payloads[n%len(payloads)]}
				n++
				next(m.Payload)
				if err := decode(&m); err != nil {
					b.Fatal(err)
				}
			}
			for range min(64*len(payloads), 400_000) {
				round()
			}
			before := cpuTime(b)
			for b.Loop() {
				round()
			}
			b.ReportMetric((cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
	same := func([]byte) {}
	scanner := func() func(m *sdk.Message) error {
		d := testDecoder()
		d.maxLine = 64 << 10
		return func(m *sdk.Message) (err error) {
			var kept sdk.Entry // as the pipeline does
			d.decode(m, func(_ string, e *sdk.Entry, fault error) {
				if err = fault; err == nil {
					kept = *e
				}
			})
			_ = kept
			return err
		}
	}
	for _, containers := range []int{1, 50, 1000, 10_000} {
		run(fmt.Sprintf("containers=%d", containers), lines(containers), same, scanner())
	}
	for name, every := range map[string]int{"strangers": 1, "half strangers": 2} {
		id := 0
		run(name, lines(50), func(payload []byte) {
			if id++; id%every == 0 {
				copy(payload[bytes.Index(payload, podID)+len(podID):], fmt.Appendf(nil, "%012x", id))
			}
		}, scanner())
	}
	run("strangers of 1 MiB", large(), same, scanner())
	for _, shape := range shapesOf() {
		run("shape="+shape.name, shape.payloads, same, scanner())
	}
	o := oracle{maxLine: 64 << 10, arrival: time.Now(), selection: testSelection()}
	run("library", lines(50), same, func(m *sdk.Message) error { o.decode(m); return nil })
}

type benchShape struct {
	name     string
	payloads [][]byte
}

// shapesOf returns ordinary lines of 50 containers as each collector sends them. The first shape is
// deis/fluentd's, with which all others are compared.
func shapesOf() (out []benchShape) {
	text := strings.Repeat("10.164.1.1 GET / - 5", 10)
	const labels = `{"app":"foo-%[2]d","heritage":"deis","type":"web","version":"v2","pod-template-hash":"845861952"}`
	const fluentd = `"kubernetes":{"container_name":"foo-web","namespace_name":"foo-%[2]d","pod_name":"foo-%[2]d-web-845861952-nzf60",` +
		`"container_image":"registry.example/foo:v2","pod_id":"34ebc234-2423-11e6-94aa-%012[2]x","pod_ip":"10.1.2.3","host":"node-10ye","labels":` + labels + `}}`
	const vector = `"kubernetes":{"container_id":"containerd://%064[2]x","container_image":"registry.example/foo:v2","container_name":"foo-web",` +
		`"namespace_labels":{"kubernetes.io/metadata.name":"foo"},"pod_ip":"10.1.2.3","pod_labels":` + labels + `,"pod_name":"foo-%[2]d-web-845861952-nzf60",` +
		`"pod_namespace":"foo-%[2]d","pod_node_name":"node-10ye","pod_uid":"34ebc234-2423-11e6-94aa-%012[2]x"}`
	for _, shape := range []struct{ name, format string }{
		{"fluentd", `{"log":"%[1]s\n","stream":"stdout","docker":{"container_id":"%064[2]x"},` + fluentd[:len(fluentd)-1] + `,"time":"2016-10-18T20:29:39.123456+00:00"}`},
		{"containerd", `{"stream":"stdout","logtag":"F","message":"%[1]s","time":"2016-10-18T20:29:39.123456789+00:00",` + fluentd},
		{"fluent-bit", `{"date":1476822579.123456,"time":"2016-10-18T20:29:39.123456789Z","stream":"stdout","_p":"F","log":"%[1]s",` + fluentd},
		{"fluent-bit-float", `{"date":1476822579.123456,"stream":"stdout","_p":"F","log":"%[1]s",` + fluentd},
		{"merged", `{"date":1476822579.123456,"level":30,"time":1476822579123,"pid":1,"hostname":"foo","msg":"%[1]s",` + fluentd},
		{"object", `{"time":"2016-10-18T20:29:39.123456789Z","stream":"stdout","log":{"level": "info", "status": 200, "text": "%[1]s"},` + fluentd},
		{"vector", `{"file":"/var/log/pods/foo/web/0.log",` + vector + `,"message":"%[1]s","source_type":"kubernetes_logs","stream":"stdout","timestamp":"2016-10-18T20:29:39.123456789Z"}`},
	} {
		payloads := make([][]byte, 50)
		for i := range payloads {
			payloads[i] = fmt.Appendf(nil, shape.format, text, i)
		}
		out = append(out, benchShape{shape.name, payloads})
	}
	return out
}

// discard implements a storage that accepts all entries at once and counts them. A storagefake
// keeps them, which costs more than what is measured.
type discard struct{ entries, batches int }

func (*discard) Wait(context.Context) error { return nil }

func (*discard) Ready() bool { return true }

func (*discard) Read(context.Context, sdk.ReadOptions) (sdk.Page, error) { return sdk.Page{}, nil }

func (s *discard) Append(_ context.Context, b sdk.Batch) error {
	s.entries += b.Len()
	s.batches++
	return nil
}

// BenchmarkPipeline measures the cost of a message: it is delivered, decoded, grouped, appended to
// a storage that costs nothing, and acknowledged. Messages are in flight as an aggregator has them:
// ten deliveries of 200 in turn.
func BenchmarkPipeline(b *testing.B) {
	for _, containers := range []int{50, 1000, 10_000} {
		b.Run(fmt.Sprintf("containers=%d", containers), func(b *testing.B) {
			storage := &discard{}
			p := New(Options{
				Storage: storage, Logger: hclog.NewNullLogger(), Registry: prometheus.NewRegistry(),
				MaxLineBytes: 64 << 10, Selection: testSelection(), AppendTimeout: time.Minute,
			})
			ctx, cancel := context.WithCancel(b.Context())
			var running sync.WaitGroup
			running.Go(func() { _ = p.Run(ctx) })
			payloads := lines(containers)
			const perDelivery, inFlight = 200, 10
			var receipts [inFlight]*sdk.Receipt
			messages := make([]sdk.Message, perDelivery) // Deliver keeps none of them
			const id = "0123456789abcdef"
			n := 0
			round := func() {
				for i := range messages {
					n++
					messages[i] = sdk.Message{ID: id, Published: time.Unix(0, int64(n)), Attempts: 1, Payload: payloads[n%containers]}
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
			for n < min(64*containers, 400_000) {
				round()
			}
			warm := n
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				round()
			}
			cpu := cpuTime(b) - before
			cancel()
			running.Wait()
			b.ReportMetric(cpu/float64(n-warm), "cpu-ns/msg")
			b.ReportMetric(float64(storage.entries)/float64(storage.batches), "msg/batch")
		})
	}
}

// ordinary returns a message of 730 bytes, with a line of 200.
func ordinary(app string) []byte {
	return fmt.Appendf(nil, `{"log": "%s\n", "stream": "stdout", "docker": {"container_id": "6a9069435788a05531ee2b9afbcdc73a22018af595f3203cb67e06f50103bf5f"}, `+
		`"kubernetes": {"namespace_name": "%[2]s", "pod_id": "34ebc234-2423-11e6-94aa-42010a800021", "pod_name": "%[2]s-web-845861952-nzf60", `+
		`"container_name": "%[2]s-web", "labels": {"app": "%[2]s", "heritage": "deis", "type": "web", "version": "v2"}, "host": "node-10ye"}, `+
		`"time": "2016-10-18T20:29:39.123456+00:00"}`, strings.Repeat("10.164.1.1 GET / - 5", 10), app)
}

// podID is the beginning of the id of each pod.
var podID = []byte("34ebc234-2423-11e6-94aa-")

// lines returns one line of each container, as fluentd publishes it. Each app has two containers,
// and one in 100 is the controller's.
func lines(containers int) [][]byte {
	const agent = ` HTTP/1.1 200 5120 Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) `
	out := make([][]byte, containers)
	for i := range out {
		app := fmt.Sprintf("lantern-field-%d", i/2)
		namespace, container, log := app, app+"-web", fmt.Sprintf("10.164.1.%d - GET /items/%d", i%256, i)
		labels := fmt.Sprintf(`"app": "%s", "heritage": "deis", "type": "web", "version": "v2"`, app)
		if i%100 == 99 {
			namespace, container, log = "deis", "deis-controller", "INFO ["+app+"]: "+log
			labels = `"app": "deis-controller", "heritage": "deis"`
		}
		for len(log) < 200 {
			log += agent
		}
		out[i] = fmt.Appendf(nil, `{"log": "%s\n", "stream": "stdout", "docker": {"container_id": "%064x"}, `+
			`"kubernetes": {"namespace_name": "%s", "pod_id": "%s%012x", "pod_name": "%s-845861952-%05x", "container_name": "%s", `+
			`"labels": {%s}, "host": "ip-10-164-1-%d.eu-central-1.compute.internal"}, "time": "2026-10-18T20:29:39.%06d+00:00"}`,
			log[:200], i, namespace, podID, i, container, i, container, labels, i%64, i)
	}
	return out
}

// large returns messages with different kubernetes objects, each of 1 MiB.
func large() [][]byte {
	out := make([][]byte, 10)
	for i := range out {
		out[i] = message(`"log":"x\n",`, fmt.Sprintf(`"pod_id":"%d","annotations":{"x":"%s"},`, i, strings.Repeat("y", 1<<20)), "")
	}
	return out
}
