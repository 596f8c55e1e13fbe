// Command logger-aggregator-http is an aggregator plugin that takes messages by HTTP POST, for
// those without NSQ. It is an example; README.md says how to use it.
package main

import "github.com/deis/logger/sdk"

// version is set when a release is built.
var version = "dev"

func main() {
	sdk.ServeAggregator(sdk.Info{Name: "http", Version: version, Doc: "takes messages by HTTP POST, and answers 200 once they are stored"}, open)
}
