package faults

import (
	"fmt"
	"strings"
)

// audit holds the result of comparing the kept logs with what was published and delivered.
type audit struct {
	lines    int // kept
	accepted int // lines that nsqd accepted, which are due
	missing  []lineID
	unknown  []lineID // kept and never published
	repeated []lineID // kept before
	// disordered are lines that stand behind one that was published after them.
	disordered []lineID
	again      int // lines that nsqd delivered more than once
	// given up are missing lines that a host which kept them in memory had
	// acknowledged before it was told to stop for good.
	givenUp int
}

// take compares. The numbers are of every app alike, and were published in their order.
func take(apps int, logs [][]int, accepted map[int]bool, issued int, deliveries map[lineID]delivery, givenUp map[lineID]bool) audit {
	a := audit{accepted: apps * len(accepted)}
	for app, numbers := range logs {
		a.lines += len(numbers)
		has := make(map[int]bool, len(numbers))
		highest := -1
		for _, n := range numbers {
			id := lineID{app, n}
			switch {
			case has[n]:
				a.repeated = append(a.repeated, id)
				continue
			case n >= issued:
				a.unknown = append(a.unknown, id)
			case n < highest:
				a.disordered = append(a.disordered, id)
			}
			if !deliveries[id].once() {
				a.again++
			}
			has[n] = true
			highest = max(highest, n)
		}
		for n := range accepted {
			switch id := (lineID{app, n}); {
			case has[n]:
			case givenUp[id]:
				a.givenUp++
			default:
				a.missing = append(a.missing, id)
			}
		}
	}
	return a
}

// String returns a text for a test's log.
func (a audit) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d lines kept of %d accepted, %d missing, %d repeated, %d out of order, %d delivered again",
		a.lines, a.accepted, len(a.missing), len(a.repeated), len(a.disordered), a.again)
	if a.givenUp > 0 {
		fmt.Fprintf(&b, ", %d given up with the stop", a.givenUp)
	}
	return b.String()
}
