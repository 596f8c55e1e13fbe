package main

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// appendPipeline is the number of lines in one pipeline with which Redis is fastest.
const appendPipeline = 500

// appended holds what the appending alone took.
type appended struct {
	Seconds float64
}

// playAppend measures how fast Redis stores lines from one connection: lines are grouped by app,
// with one RPUSH of many values and one LTRIM for each app of a pipeline. It calls ready when it
// has finished.
func playAppend(ctx context.Context, p part, ready func(any) error) error {
	client := redis.NewClient(&redis.Options{Addr: p.Redis, PoolSize: 1})
	defer func() { _ = client.Close() }()
	if err := client.Ping(ctx).Err(); err != nil {
		return err
	}
	lines := make([]any, 1000)
	for i := range lines {
		lines[i] = text(i, lineBytes)
	}
	keys := make([]string, apps)
	for i := range keys {
		keys[i] = "bench:{" + appName(i) + "}"
	}
	const perApp = appendPipeline / apps
	start := time.Now()
	for done := 0; done < p.Messages; done += appendPipeline {
		pipe := client.Pipeline()
		for i, key := range keys {
			from := (done + i*perApp) % (len(lines) - perApp)
			pipe.RPush(ctx, key, lines[from:from+perApp]...)
			pipe.LTrim(ctx, key, -keptLines, -1)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	if err := ready(appended{time.Since(start).Seconds()}); err != nil {
		return err
	}
	<-ctx.Done() // its processor time is read before it ends
	return nil
}
