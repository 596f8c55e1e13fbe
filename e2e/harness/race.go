//go:build race

package harness

// Race reports whether the tests and the host run under the race detector. The detector makes both
// several times slower.
const Race = true
