// Package examples has the files that "logger plugins new" writes: those of the examples in other
// languages than Go, and those below start, which are for nothing else.
package examples

import "embed"

// Files are the templates, by their paths below this folder.
//
//go:embed start/*/* storage-node/*.mjs storage-node/*.proto storage-node/*.json storage-python/*.py
var Files embed.FS
