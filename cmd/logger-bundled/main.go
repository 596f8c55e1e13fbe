// Command logger-bundled is the bundled plugins as one program, which the image has once
// under each of their names: most of each is what all share, and three of them would make
// the image half again as large. Each still runs as a process of its own.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/deis/logger/plugins/memory"
	"github.com/deis/logger/plugins/nsq"
	"github.com/deis/logger/plugins/redis"
)

// version is set when a release is built.
var version = "dev"

var plugins = map[string]func(version string){
	"logger-storage-memory": memory.Serve,
	"logger-storage-redis":  redis.Serve,
	"logger-aggregator-nsq": nsq.Serve,
}

func main() {
	serve, ok := plugins[filepath.Base(os.Args[0])]
	if !ok {
		fmt.Fprintf(os.Stderr, "logger-bundled: called as %q: want the name of a bundled plugin\n", os.Args[0])
		os.Exit(2)
	}
	serve(version)
}
