package main

import (
	"context"
	"time"

	gonsq "github.com/nsqio/go-nsq"
)

// ceilingInFlight is max_in_flight of the consumers that only acknowledge.
const ceilingInFlight = 1000

// outputBufferTimeout is the least that nsqd accepts. With go-nsq's default, the end of a drain
// would wait for it.
const outputBufferTimeout = 25 * time.Millisecond

// playRawReader measures how fast nsqd can serve one connection: it reads messages, and
// acknowledges all that arrived together in one write.
func playRawReader(ctx context.Context, p part, ready func(any) error) error {
	w, err := dialNSQ(ctx, p.NSQD)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, w.close)()
	if err := w.command(gonsq.Subscribe(topic, channel)); err != nil {
		return err
	}
	if err := w.ok(); err != nil {
		return err
	}
	if err := w.command(gonsq.Ready(ceilingInFlight)); err != nil {
		return err
	}
	if err := ready(nil); err != nil {
		return err
	}
	unsent := 0
	for {
		kind, data, err := w.frame()
		if err != nil {
			return err
		}
		if kind != gonsq.FrameTypeMessage {
			continue
		}
		m, err := gonsq.DecodeMessage(data)
		if err != nil {
			return err
		}
		if _, err := gonsq.Finish(m.ID).WriteTo(w.out); err != nil {
			return err
		}
		if unsent++; w.in.Buffered() == 0 || unsent == ceilingInFlight/2 {
			unsent = 0
			if err := w.out.Flush(); err != nil {
				return err
			}
		}
	}
}

// manyHandlers is the logger's own NSQ_HANDLER_COUNT. go-nsq is faster with many.
const manyHandlers = 30

// playGoNSQ runs go-nsq's Consumer with handlers that do nothing, so it only acknowledges.
func playGoNSQ(ctx context.Context, p part, ready func(any) error) error {
	config := gonsq.NewConfig()
	config.MaxInFlight = ceilingInFlight
	config.OutputBufferTimeout = outputBufferTimeout
	c, err := gonsq.NewConsumer(topic, channel, config)
	if err != nil {
		return err
	}
	c.SetLoggerLevel(gonsq.LogLevelError)
	c.AddConcurrentHandlers(gonsq.HandlerFunc(func(*gonsq.Message) error { return nil }), p.Handlers)
	if err := c.ConnectToNSQD(p.NSQD); err != nil {
		return err
	}
	if err := ready(nil); err != nil {
		return err
	}
	<-ctx.Done()
	c.Stop()
	<-c.StopChan
	return nil
}
