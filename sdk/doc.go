// Package sdk is what the author of a logger plugin needs, and all of it.
//
// A plugin is an executable named logger-storage-NAME or logger-aggregator-NAME in
// a folder of LOGGER_PLUGIN_PATH. It implements [Storage] or [Aggregator] and
// calls [ServeStorage] or [ServeAggregator] from main:
//
//	func main() {
//		sdk.ServeStorage(sdk.Info{Name: "memory", Version: "1.0.0"}, memory.Open)
//	}
//
// The second argument opens the implementation from its settings, a struct whose
// tags declare the environment variables that the plugin wants (see
// [DeclareSettings]). The host reads, checks and hands over those and no others.
//
// What surrounds the implementation is the SDK's: the handshake, mutual TLS, the
// end of the process when its host dies, recovery from a panic in a call, errors
// that keep their identity across the process boundary.
package sdk
