// Command logger-aggregator-nsq is the aggregator plugin that consumes NSQ. The
// logger's host starts it.
package main

import (
	"github.com/deis/logger/plugins/nsq"
	"github.com/deis/logger/sdk"
)

// version is set by the linker: -X main.version=v1.2.3.
var version = "dev"

func main() {
	sdk.ServeAggregator(sdk.Info{
		Name:    "nsq",
		Version: version,
		Doc:     "consumes a channel of NSQ, of one or several nsqd",
	}, nsq.Open)
}
