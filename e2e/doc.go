// Package e2e runs the built binaries as a user would: a real nsqd, a real
// redis-server, the host and its plugins in processes of their own, and asks them
// over HTTP. It has tests only; package harness runs the programs, and package
// faults makes them fail.
package e2e
