// Command extra serves one of two plugins that are not bundled. Its own file name selects which.
package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/deis/logger/plugins/memory"
	"github.com/deis/logger/plugins/nsq"
	"github.com/deis/logger/sdk"
)

// settings declares some of the nsq plugin's settings, but not its secret, which the host passes
// only to the bundled plugin.
type settings struct {
	Host string `env:"DEIS_NSQD_SERVICE_HOST" doc:"host of nsqd"`
	Port int    `env:"DEIS_NSQD_SERVICE_PORT_TRANSPORT" default:"4150" doc:"TCP port of nsqd"`
}

func openQueue(ctx context.Context, s settings, host sdk.Host) (sdk.Aggregator, error) {
	return nsq.Open(ctx, nsq.Settings{
		Host: s.Host, Port: s.Port, Topic: "logs", Channel: "consume", Handlers: 1, MaxInFlight: 100, MessageTimeout: 10 * time.Second, Compression: "none",
	}, host)
}

func main() {
	if filepath.Base(os.Args[0]) == "logger-aggregator-queue" {
		sdk.ServeAggregator(sdk.Info{Name: "queue", Version: "1"}, openQueue)
		return
	}
	sdk.ServeStorage(sdk.Info{Name: "kept", Version: "1"}, memory.Open)
}
