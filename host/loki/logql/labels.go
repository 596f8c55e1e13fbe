package logql

import (
	"slices"
	"strings"
	"time"
)

// Label holds a name and a value.
type Label struct {
	Name, Value string
}

// Labels holds labels sorted by name, each name once.
type Labels []Label

// Get returns the label's value, or "" if the label is absent.
func (l Labels) Get(name string) string {
	for i := range l {
		if l[i].Name == name {
			return l[i].Value
		}
	}
	return ""
}

// String writes the labels like a selector.
func (l Labels) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, label := range l {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(label.Name + "=" + quote(label.Value))
	}
	b.WriteByte('}')
	return b.String()
}

// AppendKey appends a text that only equal labels have, for the key of a map.
func (l Labels) AppendKey(to []byte) []byte {
	for _, label := range l {
		to = appendKey(to, label)
	}
	return to
}

func appendKey(to []byte, l Label) []byte {
	// Neither names nor valid UTF-8 contain these bytes.
	to = append(append(to, l.Name...), 0xFE)
	return append(append(to, l.Value...), 0xFF)
}

// The labels that describe a line's error.
const (
	ErrorLabel   = "__error__"
	DetailsLabel = "__error_details__"
)

// builder holds what the stages work on: a line and its labels. It copies the labels before it
// changes them.
type builder struct {
	line   string
	length int // of the original line
	at     time.Time
	work   int    // bytes that templates have read and written for the line
	stream Labels // the original ones
	labels Labels // the present ones, not sorted
	own    Labels // memory of labels, once they were changed
	owned  bool

	renamed map[string]string
}

func (b *builder) reset(at time.Time, line string, stream Labels) {
	b.line, b.length, b.at, b.work = line, len(line), at, 0
	b.stream, b.labels, b.owned = stream, stream, false
}

func (b *builder) index(name string) int {
	for i := range b.labels {
		if b.labels[i].Name == name {
			return i
		}
	}
	return -1
}

func (b *builder) get(name string) string { return b.labels.Get(name) }

// take copies the labels, so that the builder may change them.
func (b *builder) take() {
	if !b.owned {
		b.own = append(b.own[:0], b.stream...)
		b.labels, b.owned = b.own, true
	}
}

func (b *builder) set(name, value string) {
	b.take()
	if i := b.index(name); i >= 0 {
		b.labels[i].Value = value
		return
	}
	b.labels = append(b.labels, Label{name, value})
	b.own = b.labels
}

func (b *builder) remove(i int) {
	b.take()
	b.labels = slices.Delete(b.labels, i, i+1)
}

// extract sets a label that was found in the line. If the stream has a label of that name, the
// stream's value stays, and the line's gets another name. If the line has the label twice, the
// first value counts.
func (b *builder) extract(name, value string) {
	if b.stream.Get(name) != "" {
		name = b.extracted(name)
	}
	if b.index(name) < 0 {
		b.set(name, value)
	}
}

// extracted returns the other name for a field whose name is a label of the stream. It remembers
// the name, because streams have few labels.
func (b *builder) extracted(name string) string {
	other, ok := b.renamed[name]
	if !ok {
		if b.renamed == nil || len(b.renamed) >= maxNames {
			b.renamed = map[string]string{}
		}
		other = name + "_extracted"
		b.renamed[other[:len(name)]] = other
	}
	return other
}

// fail marks the line because a stage could not handle it. The first failure counts.
func (b *builder) fail(kind, details string) {
	if !b.failed() {
		b.set(ErrorLabel, kind)
		b.set(DetailsLabel, details)
	}
}

func (b *builder) failed() bool { return b.get(ErrorLabel) != "" }

// result returns the labels, sorted. They are valid until the next reset.
func (b *builder) result() Labels {
	if b.owned {
		slices.SortFunc(b.labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	}
	return b.labels
}
