// Command logger-storage-memory is the storage plugin that keeps lines in memory.
package main

import (
	"context"
	"runtime/debug"

	"github.com/deis/logger/plugins/memory"
	"github.com/deis/logger/sdk"
)

// version is set when a release is built.
var version = "dev"

func main() {
	sdk.ServeStorage(sdk.Info{
		Name: "memory", Version: version,
		Doc: "keeps the newest lines of each app in memory, under one budget; they survive this process",
	}, open)
}

// leastHeap is what the program needs beside the lines, whatever the budget.
const leastHeap = 12 << 20

// open bounds what the process takes beside its budget, which is a mapping that the
// runtime does not know of: the index of 10,000 apps fits a quarter of 64 MiB, so
// garbage never makes it more than that. With the program itself (13 MiB), the process
// stays within one and a half times its budget from 64 MiB on.
func open(ctx context.Context, settings memory.Settings, host sdk.Host) (sdk.Storage, error) {
	debug.SetMemoryLimit(max(int64(settings.Budget)/4, leastHeap))
	return memory.Open(ctx, settings, host)
}
