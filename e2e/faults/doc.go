// Package faults makes every part that can fail, fail, while numbered lines of many
// apps flow, and then audits what is kept: nothing that nsqd acknowledged is missing,
// nothing is doubled, what nsqd delivered once is in the order in which it delivered
// it, and the host's books balance. It has tests only; docs/reliability.md tells what
// each of them promises.
//
// TestSoak does all of it at random, for as long as its flag -soak says:
//
//	go test ./e2e/faults -run TestSoak -soak 10m -seed 7 -timeout 20m
package faults
