// Command logger-storage-postgres is a storage plugin that keeps lines in a PostgreSQL database,
// which any number of hosts may share. It is an example of a backend that goes away.
package main

import "github.com/deis/logger/sdk"

// version is set when a release is built.
var version = "dev"

// settings declares the environment variables that the plugin gets.
type settings struct {
	Lines     int          `env:"NUMBER_OF_LINES" default:"1000" min:"1" doc:"entries kept of each app"`
	Retention sdk.Duration `env:"LOGGER_APP_RETENTION" default:"720h" min:"0" doc:"an app that got no line for so long is forgotten; 0: never"`

	URL         string `env:"POSTGRES_URL" required:"true" doc:"where the database is: postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full, with several hosts if it fails over"`
	Password    string `env:"POSTGRES_PASSWORD" secret:"true" doc:"password of the user; empty for none"`
	Schema      string `env:"POSTGRES_SCHEMA" default:"logger" doc:"schema of the tables; it is made if it is missing"`
	Connections int    `env:"POSTGRES_CONNECTIONS" default:"8" min:"2" max:"100" doc:"most connections of this host; one more listens while somebody follows"`
}

func main() {
	sdk.ServeStorage(sdk.Info{
		Name: "postgres", Version: version, Inspectable: true,
		Doc: "keeps the newest lines of each app in a PostgreSQL database",
	}, open)
}
