package nsq

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	gonsq "github.com/nsqio/go-nsq"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// benchBytes is the usual size of fluentd's messages.
const benchBytes = 728

// fill starts an nsqd, in its own process, with b.N messages in its channel.
func fill(b *testing.B) *nsqtest.Server {
	b.Helper()
	s := nsqtest.Start(b, inMemory)
	s.CreateChannel(topic, channel)
	const chunk = 10_000
	for i := 0; i < b.N; i += chunk {
		s.Publish(topic, numbered(i, min(chunk, b.N-i), benchBytes)...)
	}
	testwait.Until(b, "all are in the channel", func() bool { return s.Channel(topic, channel).Depth == int64(b.N) })
	return s
}

func report(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkDrain drains messages through the plugin. The host only resolves receipts, in another
// goroutine, as the SDK does.
func BenchmarkDrain(b *testing.B) {
	s := fill(b)
	a := open(b, s.TCPAddr(), nil)
	ctx, cancel := context.WithCancel(b.Context())
	receipts := make(chan *sdk.Receipt, maxBatchMessages)
	go func() {
		for r := range receipts {
			r.Resolve(nil)
		}
	}()
	var n, batches int
	b.ReportAllocs()
	b.ResetTimer()
	err := a.Run(ctx, func(_ context.Context, messages []sdk.Message) (*sdk.Receipt, error) {
		r := sdk.NewReceipt()
		receipts <- r
		batches++
		if n += len(messages); n >= b.N {
			cancel() // Run returns once everything is acknowledged
		}
		return r, nil
	})
	b.StopTimer()
	close(receipts)
	if err != nil || n != b.N {
		b.Fatalf("%d of %d messages, %v", n, b.N, err)
	}
	report(b)
	b.ReportMetric(float64(n)/float64(batches), "messages/batch")
	wantEmpty(b, s)
}

// BenchmarkRawAcknowledging measures the ceiling: a loop that only reads frames and acknowledges
// all messages of one read in one write.
func BenchmarkRawAcknowledging(b *testing.B) {
	s := fill(b)
	b.ReportAllocs()
	b.ResetTimer()
	c, err := net.Dial("tcp", s.TCPAddr())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	hello := bytes.NewBuffer(slices.Clone(gonsq.MagicV2))
	identify, err := gonsq.Identify(map[string]any{
		"feature_negotiation": true, "output_buffer_timeout": 25, "output_buffer_size": 64 << 10,
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, cmd := range []*gonsq.Command{identify, gonsq.Subscribe(topic, channel), gonsq.Ready(2000)} {
		_, _ = cmd.WriteTo(hello)
	}
	if _, err := hello.WriteTo(c); err != nil {
		b.Fatal(err)
	}
	in := bufio.NewReaderSize(c, 256<<10)
	var out []byte
	for n := 0; n < b.N; {
		head, err := in.Peek(8)
		if err != nil {
			b.Fatal(err)
		}
		size := int(binary.BigEndian.Uint32(head))
		frame, err := in.Peek(4 + size)
		if err != nil {
			b.Fatal(err)
		}
		if head[7] == byte(gonsq.FrameTypeMessage) {
			out = append(append(append(out, "FIN "...), frame[18:34]...), '\n')
			n++
		}
		_, _ = in.Discard(4 + size)
		if in.Buffered() < 8+benchBytes+26 || n == b.N {
			if _, err := c.Write(out); err != nil {
				b.Fatal(err)
			}
			out = out[:0]
		}
	}
	b.StopTimer()
	report(b)
	wantEmpty(b, s)
}

// BenchmarkGoNSQAcknowledging measures go-nsq's Consumer with one handler that does nothing, to
// compare with a plain consumer.
func BenchmarkGoNSQAcknowledging(b *testing.B) {
	s := fill(b)
	config := gonsq.NewConfig()
	config.MaxInFlight = 2000
	c, err := gonsq.NewConsumer(topic, channel, config)
	if err != nil {
		b.Fatal(err)
	}
	c.SetLoggerLevel(gonsq.LogLevelMax + 1)
	var n atomic.Int64
	done := make(chan struct{})
	c.AddHandler(gonsq.HandlerFunc(func(*gonsq.Message) error {
		if n.Add(1) == int64(b.N) {
			close(done)
		}
		return nil
	}))
	b.ReportAllocs()
	b.ResetTimer()
	if err := c.ConnectToNSQD(s.TCPAddr()); err != nil {
		b.Fatal(err)
	}
	<-done
	c.Stop()
	<-c.StopChan
	b.StopTimer()
	report(b)
	wantEmpty(b, s)
}
