// Package follow is the hub between the storage and those who tail logs. It follows the storage
// once for each app that anyone here follows, for any number of followers.
//
// The pages that the storage yields become a chain. A follower is at one link of its app's chain.
// So a page is in memory once, however many followers still have to take it, and is garbage once
// the last has passed it. A follower that is too far behind is moved on, and what it misses is
// counted by positions. Before a follower joins the chain it reads, by position, what the chain no
// longer has; so history becomes live without a lost or doubled entry.
package follow
