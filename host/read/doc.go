// Package read is how this host reads logs: the one way from a request to the storage,
// for /logs, for /v1 and for the hub of those who follow.
//
// A [Log] reads one app's log from a [Place] on, in batches that say which lines are
// missing. A [Reader] bounds what all answers together take: each waits for its turn at
// the storage, and accounts for the memory that it holds until its client took it. It makes
// the text of /logs ([Reader.Text]) and the batches of /v1 ([Reader.Open]).
package read
