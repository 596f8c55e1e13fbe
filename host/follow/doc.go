// Package follow is the hub between the storage and those who tail logs: one follow
// of the storage for each app that anyone here follows, and any number of followers
// behind it.
//
// What the storage yields becomes a chain of pages. A follower is a place in its
// app's chain, so a page is there once, however many followers still have it before
// them, and is garbage once the last has passed it. One that is too far behind is
// moved on: what it misses is counted by positions. Before a follower joins the chain
// it reads, by position, what the chain no longer has; so history becomes live without
// a lost or doubled entry.
package follow
