// Command extra is two plugins that are not bundled, by the name that it is called by.
package main

import (
	"os"
	"path/filepath"

	"github.com/deis/logger/plugins/memory"
	"github.com/deis/logger/plugins/nsq"
	"github.com/deis/logger/sdk"
)

func main() {
	if filepath.Base(os.Args[0]) == "logger-aggregator-queue" {
		sdk.ServeAggregator(sdk.Info{Name: "queue", Version: "1"}, nsq.Open)
		return
	}
	sdk.ServeStorage(sdk.Info{Name: "kept", Version: "1"}, memory.Open)
}
