//go:build !linux

package main

import "time"

// rest sleeps for a time that may be less than a millisecond, as exactly as Go's timers can. The
// latency benchmark rests between its polls.
func rest(d time.Duration) { time.Sleep(d) }
