package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

// aggregator implements sdk.Aggregator. Its transport is a folder: each file is a message, in the
// order of their names, and is removed once it is stored. Whoever publishes writes a file whose
// name begins with a dot, and renames it. Put your transport in the place of the folder.
type aggregator struct{ settings }

var (
	_ sdk.Aggregator = (*aggregator)(nil)
	_ sdk.Checker    = (*aggregator)(nil)
)

// open makes the aggregator. A transport that is away is no error here: it is for Check to report.
func open(_ context.Context, set settings, _ sdk.Host) (sdk.Aggregator, error) {
	return &aggregator{set}, nil
}

// Check says whether the folder can be read.
func (a *aggregator) Check(context.Context) error {
	_, err := os.Stat(a.Dir)
	return err
}

const (
	// pause is how long to wait when there is nothing to take, or it could not be stored.
	pause = 50 * time.Millisecond
	// batchMessages and batchBytes bound a batch, and so the memory that it takes.
	batchMessages, batchBytes = 1000, 1 << 20
)

// Run delivers what is in the folder until ctx ends. What the host has by then it may still store,
// so Run waits for that receipt.
func (a *aggregator) Run(ctx context.Context, deliver sdk.Deliver) error {
	for ctx.Err() == nil {
		messages, err := a.take()
		if err == nil && len(messages) > 0 {
			err = a.store(context.WithoutCancel(ctx), deliver, messages)
		}
		if err == nil && len(messages) > 0 {
			continue
		}
		select { // what was not stored is still in the folder
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// store delivers the messages, and removes them once they are stored.
func (a *aggregator) store(ctx context.Context, deliver sdk.Deliver, messages []sdk.Message) error {
	receipt, err := deliver(ctx, messages)
	if err == nil {
		err = receipt.Wait(ctx)
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range messages {
		errs = append(errs, os.Remove(filepath.Join(a.Dir, m.ID)))
	}
	return errors.Join(errs...)
}

// take reads a batch of messages.
func (a *aggregator) take() (messages []sdk.Message, err error) {
	files, err := os.ReadDir(a.Dir) // in the order of their names
	if err != nil {
		return nil, err
	}
	for size := 0; len(files) > 0 && len(messages) < batchMessages && size < batchBytes; files = files[1:] {
		if strings.HasPrefix(files[0].Name(), ".") {
			continue
		}
		info, err := files[0].Info()
		if err != nil {
			return nil, err
		}
		payload, err := os.ReadFile(filepath.Join(a.Dir, info.Name()))
		if err != nil {
			return nil, err
		}
		messages = append(messages, sdk.Message{ID: info.Name(), Payload: payload, Published: info.ModTime()})
		size += len(payload)
	}
	return messages, nil
}
