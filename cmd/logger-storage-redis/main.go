// Command logger-storage-redis is the storage plugin that keeps logs in Redis.
package main

import "github.com/deis/logger/plugins/redis"

// version is set when a release is built.
var version = "dev"

func main() { redis.Serve(version) }
