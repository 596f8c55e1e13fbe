package memory

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/deis/logger/sdk"
)

// Serve runs the plugin, of that version: it is the whole main function.
func Serve(version string) {
	sdk.ServeStorage(sdk.Info{
		Name: "memory", Version: version,
		Doc: "keeps the newest lines of each app in memory, under one budget; they survive this process",
	}, openProcess)
}

// leastHeap is what the program needs beside the lines, whatever the budget.
const leastHeap = 12 << 20

// garbage bounds how much the heap may grow between two collections, in percent. Little lives in it
// for longer than a call, so with Go's default of 100, collecting would take much of a search's
// time.
const garbage = 400

// openProcess does what Open does, for a process of its own. It limits the heap, to which the
// budget's mapping does not count, to a fifth of the budget: of 64 MiB that is room for the index
// of 10,000 apps. With the program itself (13 MiB), the process stays within one and a half times
// its budget from 64 MiB on.
func openProcess(ctx context.Context, settings Settings, host sdk.Host) (sdk.Storage, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	debug.SetMemoryLimit(max(int64(settings.Budget)/5, leastHeap))
	opened, err := Open(ctx, settings, host)
	if err != nil {
		return nil, err
	}
	s := opened.(*storage)
	s.background.Go(s.giveBack)
	return s, nil
}
