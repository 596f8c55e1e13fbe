// Package host is the logger itself: it wires an aggregator plugin, the pipeline, a
// storage plugin and the HTTP API together and runs them.
//
// Data walks one way: aggregator plugin → pipeline → storage plugin, and back out
// over the API. Each part is built by New and run by Run(ctx); the first that ends
// stops all, in a stated order (see [Host.Run]).
package host
