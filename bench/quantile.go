package main

import (
	"math"
	"slices"
	"time"
)

// median returns the middle value, or the mean of the two in the middle; NaN without values. It
// does not reorder the values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// quantile returns the least value that at least the fraction q of the values do not exceed
// (nearest rank), in milliseconds; NaN without values. It sorts the values.
func quantile(values []time.Duration, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	rank := int(math.Ceil(q * float64(len(values))))
	return millis(values[min(max(rank, 1), len(values))-1])
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
