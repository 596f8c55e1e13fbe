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
//
// # What is left to the author
//
// A storage gives each entry of an app a position that rises by one in the order of
// arrival, keeps the entries that were published last, and reads them in three ways (see
// [ReadOptions]). It starts a new epoch when a log begins again, and stores a batch that
// comes again only once ([Marks] keep account). [Answer] and [FollowByReading] make most of
// that for a storage that has its entries at hand; filters are applied by this package.
//
// An aggregator hands messages over in order and acknowledges to its transport only what a
// [Receipt] says is stored.
//
// [Follower], [Versioner], [AppLister], [QueueLister] and [Checker] are optional: a plugin
// that has them is asked, another is not.
//
// Errors have an identity where the host acts on it: [ErrInvalid] ends the attempts,
// [ErrFull] and [ErrUnavailable] do not, and neither does an error without one.
//
// # Tests
//
// The contract is a suite: run [github.com/deis/logger/sdk/storagetest] or
// [github.com/deis/logger/sdk/aggregatortest] on the implementation, over gRPC and
// against the executable. For people there is "logger plugins check".
//
// docs/plugins in the repository has tutorials, the reference of the protocol for
// other languages, and what stays as it is within v1.
package sdk
