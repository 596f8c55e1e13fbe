// Package loki is the read API of Grafana Loki over this logger's storage, for Grafana's data
// source and logcli. Queries are read and evaluated by [logql]; lines come from the storage through
// [read.Reader], and live ones through [follow.Hub].
//
// A line's timestamp is the time that its record states, which /v1 shows as "time". What the log
// lost while it was read is told in "warnings", or as dropped entries of a tail.
package loki
