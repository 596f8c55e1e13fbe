// Package corpus holds messages as collectors publish them, ordinary and nasty ones, and the text
// that must be read back. The expected text was written from the specification, not copied from the
// program's output.
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

// arrival stands in the expected text for the time of a message that states none.
const arrival = "{ARRIVAL}"

// Messages returns the messages, in the order of publishing.
func Messages() [][]byte {
	all := bytes.Split(bytes.TrimSuffix(messages, []byte("\n")), []byte("\n"))
	for _, s := range Samples() {
		all = append(all, []byte(s.Payload))
	}
	return all
}

// Records returns how many records the messages have.
func Records() int {
	n := len(Messages())
	for _, s := range Samples() {
		n += max(0, len(s.Lines)-1)
	}
	return n
}

// Expected returns the answer of GET /logs/{app}?log_lines=-1 for each app that has lines once all
// messages are stored. Messages without a time were published at the given one.
func Expected(published string) map[string]string {
	all := map[string]string{"foo": foo, "my-long-app": myLongApp, "bar": bar}
	for _, s := range Samples() {
		for _, line := range s.Lines {
			all[s.App] += line + "\n"
		}
	}
	for app := range all {
		all[app] = strings.ReplaceAll(all[app], arrival, published)
	}
	return all
}

// Rejected returns how many records are rejected, by reason.
func Rejected() map[string]int {
	all := map[string]int{"malformed": 3, "no_app": 1, "bad_controller_line": 2}
	for _, s := range Samples() {
		if s.Reason != "" {
			all[s.Reason]++
		}
	}
	return all
}
