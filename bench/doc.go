// Command bench measures the built logger, and beside it, in the same run, what NSQ,
// Redis and net/http allow; it prints a table and writes JSON. docs/performance-notes.md
// says what is measured and how; `make bench` runs it.
//
// Everything that is measured is a process of its own: the logger and its plugins, an
// nsqd, a redis-server, and each ceiling, which is this program in another role
// (role.go). They listen on loopback and end with this program, whatever ends it. What
// they use is read from /proc, so this runs on Linux.
package main
