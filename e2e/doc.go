// Package e2e runs the built binaries as a user would: the host and its plugins in processes of
// their own, beside a real nsqd and a real redis-server. It asks them over HTTP. The package has
// tests only. Package harness runs the programs, and package faults makes them fail.
package e2e
