package sdk

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Entry holds one record of an app's log. It is structured, so that a storage can have columns and
// the host can filter. Text fields are valid UTF-8; an empty field is unknown. The app's name
// stands beside the entry (see [AppEntries]).
type Entry struct {
	// Time is the moment that the record states, in its own offset from UTC.
	Time time.Time
	// Published is when the transport took the message. Entries are kept and read in the order of
	// this time. A host always sets it, and never ahead of its own clock.
	Published time.Time
	// Position is the entry's place in the order of arrival: 1 for the first of the log's
	// epoch. A storage sets it in a page; in a batch it means nothing.
	Position uint64
	// Source tells an app's own output from the platform's.
	Source Source
	// Process is the process type of the app, such as "web".
	Process string
	// Release is the release of the app, such as "v2".
	Release string
	// Pod is the name of the pod.
	Pod string
	// Container is the name of the container in the pod.
	Container string
	// Stream is "stdout", "stderr" or empty.
	Stream string
	// Host is the node that the pod ran on.
	Host string
	// Message is the text without its final newline. Inner newlines stay.
	Message string
	// CutBytes is how many bytes were cut off the text because it was too long.
	CutBytes uint64
	// Partial says that the text is a piece of a line, and not its last. Container runtimes cut
	// long lines. The pieces of one pod, container and stream follow each other in the order of
	// publishing, and hosts join them where they are read.
	Partial bool
	// Level is how serious the entry is, as its text or its record states. The host sets it.
	Level Level
}

// Valid returns an error that says how the entry breaks the contract, or nil: texts must be valid
// UTF-8, as protobuf strings are. Hosts and tests use it.
func (e *Entry) Valid() error {
	for _, f := range []struct{ name, text string }{
		{"process", e.Process},
		{"release", e.Release},
		{"pod", e.Pod},
		{"container", e.Container},
		{"stream", e.Stream},
		{"host", e.Host},
		{"message", e.Message},
	} {
		if !utf8.ValidString(f.text) {
			return fmt.Errorf("%s is not valid UTF-8: %w", f.name, ErrInvalid)
		}
	}
	return nil
}

// Source says who wrote an entry.
type Source uint8

// The sources of entries, as numbered in logger.plugin.v1.Source.
const (
	// SourceUnknown is the zero value.
	SourceUnknown Source = 0
	// SourceApp is the output of a container of the app.
	SourceApp Source = 1
	// SourceController is a line of the platform's controller about the app.
	SourceController Source = 2
)

// String returns the name used in JSON and filters: "app", "controller" or "unknown".
func (s Source) String() string {
	switch s {
	case SourceApp:
		return "app"
	case SourceController:
		return "controller"
	default:
		return "unknown"
	}
}

// AppEntries holds entries of one app, in the order of publishing.
type AppEntries struct {
	App     string
	Entries []Entry
}

// Batch holds what one [Storage.Append] stores.
type Batch struct {
	ID BatchID
	// Apps holds each app at most once. Their order means nothing.
	Apps []AppEntries
}

// Len returns the number of entries in the batch.
func (b Batch) Len() int {
	n := 0
	for i := range b.Apps {
		n += len(b.Apps[i].Entries)
	}
	return n
}

// BatchID names a batch, so that appending it again can be recognised.
type BatchID struct {
	// Writer names one host process. No other process ever has the same name.
	Writer string
	// Sequence rises with every batch of the writer, and a writer has one batch under way at a
	// time. So a storage recognises every repetition if it keeps the highest stored sequence for
	// each app and writer.
	Sequence uint64
}

// maxAppName is the length in bytes of the longest name in Kubernetes: a DNS subdomain.
const maxAppName = 253

// CheckApp refuses a name that no app can have. It accepts what Kubernetes accepts as a name or as
// the value of a label: letters, digits, dots, dashes and underscores, with a letter or digit at
// both ends, 253 bytes at most. The error wraps [ErrInvalid].
func CheckApp(app string) error {
	ok := len(app) > 0 && len(app) <= maxAppName && alphanumeric(app[0]) && alphanumeric(app[len(app)-1])
	for i := 0; ok && i < len(app); i++ {
		ok = alphanumeric(app[i]) || app[i] == '-' || app[i] == '.' || app[i] == '_'
	}
	if !ok {
		return Refusef("app name %.80q: want 1 to %d letters, digits, '-', '_' or '.', with a letter or digit at both ends", app, maxAppName)
	}
	return nil
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
