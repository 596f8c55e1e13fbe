// Command logger-storage-memory is the storage plugin that keeps lines in memory.
package main

import "github.com/deis/logger/plugins/memory"

// version is set when a release is built.
var version = "dev"

func main() { memory.Serve(version) }
