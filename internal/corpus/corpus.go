// Package corpus holds messages of the shape that collectors publish, ordinary and
// nasty, and what must come back of them. The expected text was written by reading
// the specification, not by running the program.
package corpus

import (
	"bytes"
	_ "embed" // for the files
	"strings"
)

//go:embed messages.ndjson
var messages []byte

//go:embed expected/foo.txt
var foo string

//go:embed expected/my-long-app.txt
var myLongApp string

//go:embed expected/bar.txt
var bar string

// arrival stands in the expected text for a time that the message does not state.
const arrival = "{ARRIVAL}"

// Messages are the payloads, in the order in which they are published.
func Messages() [][]byte {
	return bytes.Split(bytes.TrimSuffix(messages, []byte("\n")), []byte("\n"))
}

// Expected is what GET /logs/{app}?log_lines=-1 answers for each app that has lines
// once all messages were taken, where messages without a time arrived at the given
// one.
func Expected(arrived string) map[string]string {
	return map[string]string{
		"foo":         strings.ReplaceAll(foo, arrival, arrived),
		"my-long-app": myLongApp,
		"bar":         bar,
	}
}

// Rejected is how many messages are rejected, by reason.
func Rejected() map[string]int {
	return map[string]int{"malformed": 3, "bad_time": 1, "no_app": 1, "bad_controller_line": 2}
}
