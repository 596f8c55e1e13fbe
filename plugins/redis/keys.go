package redis

import (
	"net/url"
	"strconv"
)

// An app has a state, up to eight streams of blocks (see append.lua), and while it is
// followed a key that says so. The part in braces is the app's name and the hash tag of Redis
// Cluster: it puts all of them into one slot. The index of the apps has a tag of its own, which
// is no name of an app as it is escaped.
const (
	keyPrefix      = "logger:{"
	stateSuffix    = "}:state"
	runSuffix      = "}:run" // and 1 to 4
	followedSuffix = "}:followed"

	namesKey  = "logger:{%apps}:names"  // sorted set: the names of the apps, all with score 0
	activeKey = "logger:{%apps}:active" // sorted set: the same, by about when their last line came
	totalsKey = "logger:{%apps}:totals" // hash: sums over all apps

	wakeChannel = "logger:{%apps}:wake"
	// probeKey never exists: see Check.
	probeKey = "logger:probe"
)

// maxRuns is how many runs an app has at most.
const maxRuns = 8

func stateKey(app string) string { return keyPrefix + escape(app) + stateSuffix }

func runKey(app string, run int) string {
	return keyPrefix + escape(app) + runSuffix + strconv.Itoa(run+1)
}

func followedKey(app string) string { return keyPrefix + escape(app) + followedSuffix }

// escape makes a part of a key of a name: without braces, spaces and line breaks. The empty
// name, which Cluster would not take for a hash tag, is a lone %.
func escape(name string) string {
	if name == "" {
		return "%"
	}
	return url.PathEscape(name)
}
