package redis

import "github.com/deis/logger/sdk"

// Serve is the main function of the plugin, of that version.
func Serve(version string) {
	sdk.ServeStorage(sdk.Info{
		Name: "redis", Version: version, Inspectable: true,
		Doc: "keeps each app's newest lines in Redis",
	}, Open)
}
