package host

import (
	"github.com/deis/logger/host/api"
	"github.com/deis/logger/host/plugin"
)

// supervised is what readiness asks of a [plugin.Supervisor].
type supervised interface {
	Status() plugin.Status
	Reached(states ...plugin.State) bool
}

// readiness says whether requests can be served: the storage answers, and the aggregator's
// process runs. A transport that is away does not keep anyone from reading, so a degraded
// aggregator is ready.
func readiness(storage, aggregator supervised) api.Readiness {
	lines, queue := storage.Status(), aggregator.Status()
	return api.Readiness{
		Ready: lines.State == plugin.Ready && queue.State.Serving(),
		// One that never was ready may have the wrong settings, and takes no other's place.
		Serving: lines.State.Serving() && queue.State.Serving() &&
			storage.Reached(plugin.Ready) && aggregator.Reached(plugin.Ready, plugin.Degraded),
		Plugins: []plugin.Status{lines, queue},
	}
}
