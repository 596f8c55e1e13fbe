// Command logger-storage-redis is the storage plugin that keeps logs in Redis.
package main

import (
	"github.com/deis/logger/plugins/redis"
	"github.com/deis/logger/sdk"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	sdk.ServeStorage(sdk.Info{
		Name:    "redis",
		Version: version,
		Doc:     "keeps each app's newest lines in a Redis list",
	}, redis.Open)
}
