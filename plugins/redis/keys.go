package redis

import (
	"encoding/hex"
	"strconv"
)

// An app has a state, up to four streams of blocks (see append.lua), and while it is
// followed a key that says so, which also names a channel. The part in braces is the app's
// name and the hash tag of Redis Cluster: it puts all of them into one slot. The index of
// the apps has a hash tag of its own, which is no name of an app as it is escaped. The
// prefix keeps us apart from whoever shares the database.
const (
	keyPrefix      = "logger:{"
	stateSuffix    = "}:state"
	runSuffix      = "}:run" // and 1 to 4
	followedSuffix = "}:followed"

	namesKey  = "logger:{%apps}:names"  // sorted set: the names of the apps, all with score 0
	activeKey = "logger:{%apps}:active" // sorted set: the same, by about when their last line came
	totalsKey = "logger:{%apps}:totals" // hash: sums over all apps

	// probeKey never exists: see Check.
	probeKey = "logger:probe"
)

// maxRuns is how many runs an app has at most.
const maxRuns = 4

func stateKey(app string) string { return keyPrefix + escape(app) + stateSuffix }

func runKey(app string, run int) string {
	return keyPrefix + escape(app) + runSuffix + strconv.Itoa(run+1)
}

func followedKey(app string) string { return keyPrefix + escape(app) + followedSuffix }

// escape writes every byte that is not a letter, digit, dot, dash or underscore as %
// and two hexadecimal digits. The empty name, which Cluster would not take for a
// hash tag, is a lone %.
func escape(app string) string {
	if app == "" {
		return "%"
	}
	plain := true
	for i := 0; i < len(app) && plain; i++ {
		plain = isPlain(app[i])
	}
	if plain {
		return app
	}
	b := make([]byte, 0, len(app)+2)
	for i := range len(app) {
		if isPlain(app[i]) {
			b = append(b, app[i])
		} else {
			b = hex.AppendEncode(append(b, '%'), []byte{app[i]})
		}
	}
	return string(b)
}

func isPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}
