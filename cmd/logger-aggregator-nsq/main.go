// Command logger-aggregator-nsq is the aggregator plugin that consumes NSQ.
package main

import "github.com/deis/logger/plugins/nsq"

// version is set when a release is built.
var version = "dev"

func main() { nsq.Serve(version) }
