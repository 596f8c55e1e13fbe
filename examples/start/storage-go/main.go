// Command logger-storage-myplugin is a storage plugin of logger.
package main

import "github.com/deis/logger/sdk"

// version is set when a release is built.
var version = "dev"

// settings declares the environment variables that the plugin gets. It gets no others. Every
// storage has the first one. Give those of your own a prefix.
type settings struct {
	Lines int `env:"NUMBER_OF_LINES" default:"1000" min:"1" doc:"entries kept of each app"`
}

func main() {
	sdk.ServeStorage(sdk.Info{Name: "myplugin", Version: version, Doc: "keeps the newest lines of each app in its memory"}, open)
}
