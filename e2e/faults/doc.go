// Package faults makes every part fail that can fail, while numbered lines of many apps flow. Then
// it audits what is kept: no message that nsqd accepted is missing, no line is there twice, all
// lines are in the order of publishing, and the host's books balance. The package has tests only.
// docs/reliability.md says what each of them promises.
//
// TestNewest… ask for the newest lines after a backlog, which nsqd delivers out of order. With
// -full, as in `make faults`, they have the size of the measurements in docs/reliability.md.
//
// TestSoak draws faults at random, for as long as its flag -soak says:
//
//	go test ./e2e/faults -run TestSoak -soak 10m -seed 7 -timeout 20m
package faults
