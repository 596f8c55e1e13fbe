// Command logger-aggregator-myplugin is an aggregator plugin of logger.
package main

import "github.com/deis/logger/sdk"

// version is set when a release is built.
var version = "dev"

// settings declares the environment variables that the plugin gets. It gets no others.
type settings struct {
	Dir string `env:"MYPLUGIN_DIR" required:"true" doc:"folder of the messages, one a file"`
}

func main() {
	sdk.ServeAggregator(sdk.Info{Name: "myplugin", Version: version, Doc: "takes each file of a folder as a message"}, open)
}
