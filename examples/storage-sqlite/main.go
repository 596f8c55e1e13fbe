// Command logger-storage-sqlite is a storage plugin that keeps lines in a SQLite database,
// so that they outlive every process. It is an example: docs/plugins/tutorial.md writes it.
package main

import "github.com/deis/logger/sdk"

// version is set when a release is built.
var version = "dev"

// settings declares the environment variables that the plugin gets. It gets no others.
type settings struct {
	Lines       int    `env:"NUMBER_OF_LINES" default:"1000" min:"1" doc:"entries kept of each app"`
	Path        string `env:"SQLITE_PATH" required:"true" doc:"database file; it is made if it is missing, its folder is not"`
	Synchronous string `env:"SQLITE_SYNCHRONOUS" default:"full" oneof:"full normal" doc:"full: what is stored outlives a power cut; normal: only the end of the process, but faster"`

	Retention sdk.Duration `env:"LOGGER_APP_RETENTION" default:"720h" doc:"an app that got no line for so long is forgotten; 0: never"`
}

func main() {
	sdk.ServeStorage(sdk.Info{Name: "sqlite", Version: version, Doc: "keeps the newest lines of each app in a SQLite database"}, open)
}
