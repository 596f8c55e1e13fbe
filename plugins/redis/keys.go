package redis

import (
	"encoding/hex"
	"strings"
)

// Each app has two keys, a list of its entries and a string that tells of the list,
// and while it is followed a third that says so, which also names a channel.
// The part in braces is the app's name and the hash tag of Redis Cluster: it puts
// all into one slot. No other key has braces, so no name collides with one of our
// own, and the prefix keeps us apart from whoever shares the database.
const (
	keyPrefix    = "logger:{"
	blocksSuffix = "}:blocks"
	stateSuffix  = "}:state"
	// followedSuffix ends the key and the channel of Follow.
	followedSuffix = "}:followed"
	// blocksPattern matches the lists of all apps in SCAN.
	blocksPattern = keyPrefix + "*" + blocksSuffix

	// departedKey is a hash that counts the entries of logs that were deleted.
	departedKey = "logger:departed"

	// probeKey never exists: see Check.
	probeKey = "logger:probe"
)

func blocksKey(app string) string { return keyPrefix + escape(app) + blocksSuffix }
func stateKey(app string) string  { return keyPrefix + escape(app) + stateSuffix }

func followedKey(app string) string { return keyPrefix + escape(app) + followedSuffix }

// allKeys are the keys of an app, side by side in one string: an append makes those of each of
// its apps.
func allKeys(app string) (state, list, followed string) {
	name := escape(app)
	all := keyPrefix + name + stateSuffix + keyPrefix + name + blocksSuffix + keyPrefix + name + followedSuffix
	key := len(keyPrefix) + len(name)
	state, all = all[:key+len(stateSuffix)], all[key+len(stateSuffix):]
	list, followed = all[:key+len(blocksSuffix)], all[key+len(blocksSuffix):]
	return state, list, followed
}

// appOfBlocks is the app whose list has the key. Not every key that looks like ours
// is one that we would write.
func appOfBlocks(key string) (app string, ok bool) {
	name, ok := strings.CutPrefix(key, keyPrefix)
	if !ok {
		return "", false
	}
	name, ok = strings.CutSuffix(name, blocksSuffix)
	if !ok {
		return "", false
	}
	app, ok = unescape(name)
	return app, ok && escape(app) == name
}

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

func unescape(name string) (app string, ok bool) {
	if name == "%" {
		return "", true
	}
	head, rest, escaped := strings.Cut(name, "%")
	b := []byte(head)
	for escaped {
		if len(rest) < 2 {
			return "", false
		}
		c, err := hex.DecodeString(rest[:2])
		if err != nil {
			return "", false
		}
		b = append(b, c...)
		head, rest, escaped = strings.Cut(rest[2:], "%")
		b = append(b, head...)
	}
	return string(b), true
}

func isPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}
