package faults

import (
	"fmt"
	"strings"
)

// audit is what comparing the kept logs with what was published and delivered says.
type audit struct {
	lines    int // kept
	accepted int // lines that nsqd accepted, which are due
	missing  []lineID
	unknown  []lineID // kept and never published
	repeated int      // lines too many
	// inexcusable are lines that are kept more often than there were hosts that nsqd
	// delivered them to: a host knows what it has, the next does not.
	inexcusable []lineID
	// disordered are lines that nsqd delivered once and that are kept out of the order
	// in which it delivered them. Nothing excuses one.
	disordered []lineID
	// again are lines that nsqd delivered more than once: their place is that of one
	// of their deliveries. Late are those of them that a later number stands before.
	again, late int
	// given up are missing lines that a host which kept them in memory had
	// acknowledged before it was told to stop for good.
	givenUp int
}

// take compares. The numbers are of every app alike.
func take(apps int, logs [][]int, accepted map[int]bool, issued int, deliveries map[lineID]delivery, givenUp map[lineID]bool) audit {
	a := audit{accepted: apps * len(accepted)}
	for app, numbers := range logs {
		a.lines += len(numbers)
		has := make(map[int]bool, len(numbers))
		copies := make(map[int]int)
		place, highest := 0, -1
		for _, n := range numbers {
			id := lineID{app, n}
			d := deliveries[id]
			switch {
			case has[n]:
				a.repeated++
				if copies[n]++; copies[n]+1 > d.hosts {
					a.inexcusable = append(a.inexcusable, id)
				}
				continue
			case n >= issued:
				a.unknown = append(a.unknown, id)
			case !d.once():
				a.again++
				if n < highest {
					a.late++
				}
			case d.place < place:
				a.disordered = append(a.disordered, id)
			default:
				place = d.place
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

// String is for a test's log.
func (a audit) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d lines kept of %d accepted, %d missing, %d repeated, %d out of order, %d delivered again of which %d late",
		a.lines, a.accepted, len(a.missing), a.repeated, len(a.disordered), a.again, a.late)
	if a.givenUp > 0 {
		fmt.Fprintf(&b, ", %d given up with the stop", a.givenUp)
	}
	return b.String()
}
