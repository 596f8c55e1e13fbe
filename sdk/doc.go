// Package sdk has everything that the author of a logger plugin needs.
//
// A plugin is an executable named logger-storage-NAME or logger-aggregator-NAME in
// a folder of LOGGER_PLUGIN_PATH. It implements [Storage] or [Aggregator] and
// calls [ServeStorage] or [ServeAggregator] from main:
//
//	func main() {
//		sdk.ServeStorage(sdk.Info{Name: "memory", Version: "1.0.0"}, memory.Open)
//	}
//
// The second argument opens the implementation from its settings, a struct whose tags declare the
// environment variables that the plugin wants (see [DeclareSettings]). The host reads and checks
// those variables, and hands over no others.
//
// The SDK does the rest: the handshake, mutual TLS, the end of the process when its host dies,
// recovery from a panic in a call, and errors that keep their identity across the process boundary.
//
// # What is left to the author
//
// A storage gives each entry of an app a position that rises by one in the order of arrival. It
// keeps the entries that were published last, and reads them in three ways (see [ReadOptions]). It
// starts a new epoch when a log begins again. It stores a batch once, even if the batch comes
// again; [Marks] keep account of that. [Answer] and [FollowByReading] do most of this work for a
// storage that has its entries at hand. This package applies filters.
//
// An aggregator hands messages over in order and acknowledges to its transport only what a
// [Receipt] says is stored.
//
// [Follower], [Versioner], [AppLister], [QueueLister], [Checker] and [Exposer] are optional
// interfaces: the host uses those that a plugin has.
//
// The identity of an error decides what the host does. After [ErrInvalid] it gives up the call.
// After [ErrFull], [ErrUnavailable] and any other error it tries again.
//
// # Tests
//
// A suite checks the contract. Run [github.com/deis/logger/sdk/storagetest] or
// [github.com/deis/logger/sdk/aggregatortest] on the implementation, over gRPC and against the
// executable. The command "logger plugins check" runs the suite on an executable.
//
// docs/plugins in the repository has tutorials, the reference of the protocol for other languages,
// and what does not change within v1.
package sdk
