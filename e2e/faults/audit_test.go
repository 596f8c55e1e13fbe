package faults

import (
	"fmt"
	"strings"
)

// audit holds the result of comparing the kept lines with those that were published and delivered.
type audit struct {
	lines    int // lines that are kept
	accepted int // lines that nsqd accepted, which have to be kept
	missing  []lineID
	unknown  []lineID // lines that are kept but were never published
	repeated []lineID // lines that are kept a second time
	// disordered has the lines that stand after a line that was published later.
	disordered []lineID
	again      int // kept lines that nsqd delivered more than once
	// givenUp counts missing lines that are no fault: a host acknowledged them, kept them in
	// memory, and was then told to stop for good.
	givenUp int
}

// take compares the numbers in the apps' logs with the accepted ones. The publisher publishes each
// number once per app, in ascending order.
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

// String returns the result as a line of a test's log.
func (a audit) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d lines kept of %d accepted, %d missing, %d repeated, %d out of order, %d delivered again",
		a.lines, a.accepted, len(a.missing), len(a.repeated), len(a.disordered), a.again)
	if a.givenUp > 0 {
		fmt.Fprintf(&b, ", %d given up with the stop", a.givenUp)
	}
	return b.String()
}
