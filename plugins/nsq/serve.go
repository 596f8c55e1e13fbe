package nsq

import "github.com/deis/logger/sdk"

// Serve runs the plugin, of that version: it is the whole main function.
func Serve(version string) {
	sdk.ServeAggregator(sdk.Info{
		Name: "nsq", Version: version, Inspectable: true,
		Doc: "consumes a channel of NSQ, of one or several nsqd",
	}, Open)
}
