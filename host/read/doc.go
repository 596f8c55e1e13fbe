// Package read reads logs for this host: it is the one way from a request to the storage, for
// /logs, for /v1 and for the hub of the followers.
//
// A [Log] reads one app's log from a [Place] on, in batches that say which lines are missing.
// [Logs] bounds what all answers take together: each waits for its turn at the storage, and
// accounts for the memory that it holds until its client has taken it. Logs makes the text of /logs
// ([Logs.OpenText]) and the batches of /v1 ([Logs.Open]).
package read
