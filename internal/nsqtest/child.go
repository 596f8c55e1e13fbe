package nsqtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/internal/embednsqd"
)

// childEnv tells a test binary to run an nsqd; its value holds nsqd's options as JSON.
//
// nsqd runs in a process of its own because nsqd v1.3.0, when it stops, reads a map of its clients'
// messages without a lock: in the test's process, the race detector would blame the test.
const childEnv = "LOGGER_NSQTEST_OPTIONS"

// addresses holds the line of JSON that the child prints once it serves.
type addresses struct{ TCP, HTTP string }

func init() {
	if options := os.Getenv(childEnv); options != "" {
		if err := runChild(options); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// runChild runs an nsqd until stdin ends, which it also does when the test dies.
func runChild(options string) error {
	var want nsqd.Options
	if err := json.Unmarshal([]byte(options), &want); err != nil {
		return fmt.Errorf("options: %w", err)
	}
	s, err := embednsqd.New(embednsqd.Options{
		TCPAddress: want.TCPAddress, HTTPAddress: want.HTTPAddress, DataPath: want.DataPath,
		Tune: func(o *nsqd.Options) {
			want.Logger = o.Logger
			*o = want
		},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := json.NewEncoder(os.Stdout).Encode(addresses{TCP: s.TCPAddr(), HTTP: s.HTTPAddr()}); err != nil {
		return err
	}
	return s.Run(ctx)
}
