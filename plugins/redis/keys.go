package redis

import "net/url"

// An app has a state, a stream of blocks and a sorted set of the same (see state.lua). While it is
// followed, it has a key that says so, and then, for a while, one for each epoch that was deleted.
// The part in braces is the app's name and the hash tag of Redis Cluster: it puts all of them into
// one slot. The index of the apps has a tag of its own, which no escaped name equals.
const (
	namesKey  = "logger:{%apps}:names"  // sorted set: the names of the apps, all with score 0
	activeKey = "logger:{%apps}:active" // sorted set: the same, by about when their last line came
	totalsKey = "logger:{%apps}:totals" // hash: sums over all apps

	wakeChannel = "logger:{%apps}:wake"
	// probeKey never exists: see Check.
	probeKey = "logger:probe"
)

func stateKey(app string) string             { return key(app, "state") }
func blocksKey(app string) string            { return key(app, "blocks") }
func orderKey(app string) string             { return key(app, "order") }
func followedKey(app string) string          { return key(app, "followed") }
func deletedKey(app string, e uint64) string { return key(app, "deleted:"+epochBytes(e)) }
func key(app, name string) string            { return "logger:{" + escape(app) + "}:" + name }

// escape turns a name into a part of a key, without braces, spaces and line breaks. The empty name,
// which Cluster would not take for a hash tag, becomes a lone %.
func escape(name string) string {
	if name == "" {
		return "%"
	}
	return url.PathEscape(name)
}
