// Package host wires an aggregator plugin, the pipeline, a storage plugin and the HTTP API together
// and runs them.
//
// Data flows one way: aggregator plugin → pipeline → storage plugin, and back out over the API.
// Each part is built by New and run by Run(ctx). When the first part ends, all stop, in the order
// that [Host.Run] states.
package host
