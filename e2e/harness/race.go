//go:build race

package harness

// Race says whether the tests and the host run under the race detector, which makes
// both several times slower.
const Race = true
