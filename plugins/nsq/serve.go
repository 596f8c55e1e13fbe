package nsq

import "github.com/deis/logger/sdk"

// Serve is the main function of the plugin, of that version.
func Serve(version string) {
	sdk.ServeAggregator(sdk.Info{
		Name: "nsq", Version: version, Inspectable: true,
		Doc: "consumes a channel of NSQ, of one or several nsqd",
	}, Open)
}
