// Command bench measures the built logger. In the same run, it measures the ceilings that NSQ,
// Redis and net/http set. It prints a table and writes JSON. docs/performance-notes.md tells what
// is measured and how; `make bench` runs it.
//
// Everything that is measured runs in a process of its own: the logger and its plugins, an nsqd, a
// redis-server, and each ceiling, for which this program starts itself in another role (role.go).
// The processes listen on loopback and end with this program, whatever ends it. Their use of the
// machine is read from /proc, so this program needs Linux.
package main
