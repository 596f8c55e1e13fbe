// Package faults makes every part that can fail, fail, while numbered lines of many apps
// flow, and then audits what is kept: nothing that nsqd acknowledged is missing, nothing is
// doubled, all is in the order of publishing, and the host's books balance. It has tests
// only; docs/reliability.md tells what each of them promises.
//
// TestNewest… ask for the newest lines after a backlog that nsqd mixes. With -full they have
// the size of the measurements in docs/reliability.md, as in `make faults`.
//
// TestSoak does everything at random, for as long as its flag -soak says:
//
//	go test ./e2e/faults -run TestSoak -soak 10m -seed 7 -timeout 20m
package faults
