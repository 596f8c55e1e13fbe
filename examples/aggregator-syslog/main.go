// Command logger-aggregator-syslog is an aggregator plugin that takes syslog messages by UDP and
// TCP. It is an example: docs/plugins/aggregator-tutorial.md writes it.
package main

import "github.com/deis/logger/sdk"

// version is set when a release is built.
var version = "dev"

// settings declares the environment variables that the plugin gets. It gets no others.
type settings struct {
	Listen     string    `env:"SYSLOG_LISTEN" default:"udp://127.0.0.1:5514,tcp://127.0.0.1:5514" doc:"where to take messages: udp://HOST:PORT and tcp://HOST:PORT, with commas between"`
	App        string    `env:"SYSLOG_DEFAULT_APP" default:"syslog" doc:"app of the messages that name none"`
	MaxMessage sdk.Bytes `env:"SYSLOG_MAX_MESSAGE_BYTES" default:"128KiB" min:"1KiB" max:"1MiB" doc:"the rest of a longer message is cut off"`
	MaxPending sdk.Bytes `env:"SYSLOG_MAX_PENDING_BYTES" default:"16MiB" min:"1MiB" max:"1GiB" doc:"most bytes that wait for the logger: beyond, TCP is not read, and what comes by UDP is dropped"`
	MaxConns   int       `env:"SYSLOG_MAX_CONNECTIONS" default:"256" min:"1" max:"65536" doc:"most TCP connections at once; others are reset"`
}

func main() {
	sdk.ServeAggregator(sdk.Info{Name: "syslog", Version: version, Doc: "takes syslog messages by UDP and TCP"}, open)
}
