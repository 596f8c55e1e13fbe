// Package loki serves the read API of Grafana Loki from this logger's storage, for Grafana's data
// source and logcli. [logql] parses and evaluates queries. Kept lines come through [read.Logs],
// and live ones through [follow.Hub].
//
// A line's timestamp is the time that its record states, which /v1 shows as "time". Lines that the
// log lost while it was read are reported in "warnings", or as dropped entries of a tail.
package loki
