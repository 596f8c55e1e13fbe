package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Kind tells records apart.
type Kind string

// The kinds of records. A record of another kind comes from a newer server, and is skipped.
const (
	// KindEntry is one entry of the log.
	KindEntry Kind = "entry"
	// KindGap stands in the place of entries that the server no longer has.
	KindGap Kind = "gap"
	// KindHeartbeat says that there is nothing else to send up to its cursor.
	KindHeartbeat Kind = "heartbeat"
	// KindEnd is the last record of an answer that the server ends by itself. Its reason
	// is "until" if there is nothing more to come.
	KindEnd Kind = "end"
)

// Level says how serious an entry is, as it states itself. It is empty for an entry that states
// none.
type Level string

// The levels, from the least serious on. A newer server may know others.
const (
	LevelTrace Level = "trace"
	LevelDebug Level = "debug"
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"
	LevelFatal Level = "fatal"
)

// Record holds one record of an answer. Its kind decides which fields are set. Its texts come from
// apps: clean them before you print them to a terminal.
type Record struct {
	Kind Kind `json:"type"`
	// Cursor is the place just after an entry, or the place up to which the server has sent
	// everything, in a heartbeat or an end. Entries have none if [Query.FewCursors] is set.
	Cursor string `json:"cursor"`
	// AppCursor is the cursor of an entry in the log of its app alone, in an answer of several
	// apps.
	AppCursor string `json:"place"`
	// App is the app of an entry or a gap, in an answer of several apps. It is empty in others.
	App string `json:"app"`

	// Time is the moment that an entry states, in its own offset.
	Time time.Time `json:"time"`
	// Published is when the transport took the entry. Histories are in the order of this time.
	Published time.Time `json:"published"`
	Source    string    `json:"source"`
	Level     Level     `json:"level"`
	// Controller is the name that a line of the controller is shown with, before "[controller]".
	Controller string `json:"controller"`
	Process    string `json:"process"`
	Release    string `json:"release"`
	Pod        string `json:"pod"`
	Container  string `json:"container"`
	Stream     string `json:"stream"`
	// Host is the node that the pod ran on.
	Host    string `json:"host"`
	Message string `json:"message"`
	// Fields is a JSON object of the members of the message that [Query.Fields] names; nil if it
	// has none.
	Fields json.RawMessage `json:"fields"`
	// CutBytes is how many bytes of the message the server cut off because it was too long.
	CutBytes uint64 `json:"cut_bytes"`
	// Partial says that the message is only what came of a line within 5 s: its last piece is
	// missing.
	Partial bool `json:"partial"`
	// Late says that an entry was published more than a second before an entry that arrived
	// earlier.
	Late bool `json:"late"`
	// Context says that an entry is here only because it is near one that the query chooses. Apart
	// says that entries between this one and the one before were left out.
	Context bool `json:"context"`
	Apart   bool `json:"apart"`

	// From and To are the places between which entries are missing. An empty From means the
	// beginning.
	From string `json:"from"`
	To   string `json:"to"`
	// Count is how many entries are missing: exactly, or at least that many.
	Count uint64 `json:"count"`
	Exact bool   `json:"exact"`
	// Reason says why entries are missing, or why the answer ends.
	Reason string `json:"reason"`

	// Raw is the record as the server sent it, one line of JSON without the newline.
	Raw []byte `json:"-"`
}

// Place returns the cursor to go on from after the record, if it has one.
func (r *Record) Place() string {
	if r.Kind == KindGap {
		return r.To
	}
	return r.Cursor
}

// parseRecord reads a line of NDJSON. The record keeps the line.
func parseRecord(line []byte) (Record, error) {
	r := Record{Raw: bytes.TrimRight(line, "\r\n")}
	if err := json.Unmarshal(line, &r); err != nil {
		return Record{}, fmt.Errorf("record %.80q: %w", line, err)
	}
	if r.Kind == "" {
		return Record{}, fmt.Errorf("record %.80q has no type", line)
	}
	return r, nil
}
