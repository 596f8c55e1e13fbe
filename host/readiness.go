package host

import (
	"github.com/deis/logger/host/api"
	"github.com/deis/logger/host/plugin"
)

// supervised has the methods of a [plugin.Supervisor] that readiness uses.
type supervised interface {
	Status() plugin.Status
	Reached(states ...plugin.State) bool
}

// readiness reports whether requests can be served: the storage has to answer, and the aggregator's
// process has to run. A degraded aggregator is ready: people can read while the transport is away.
func readiness(storage, aggregator supervised) api.Readiness {
	lines, queue := storage.Status(), aggregator.Status()
	return api.Readiness{
		Ready: lines.State == plugin.Ready && queue.State.Serving(),
		// A host that never was ready may have wrong settings, so it must not replace another host.
		Serving: lines.State.Serving() && queue.State.Serving() &&
			storage.Reached(plugin.Ready) && aggregator.Reached(plugin.Ready, plugin.Degraded),
		Plugins: []plugin.Status{lines, queue},
	}
}
