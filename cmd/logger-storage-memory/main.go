// Command logger-storage-memory is the storage plugin that keeps lines in memory.
package main

import (
	"github.com/deis/logger/plugins/memory"
	"github.com/deis/logger/sdk"
)

// version is set when a release is built.
var version = "dev"

func main() {
	sdk.ServeStorage(sdk.Info{
		Name: "memory", Version: version,
		Doc: "keeps the newest lines of each app in memory, under one budget; they survive this process",
	}, memory.Open)
}
