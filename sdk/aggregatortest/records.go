package aggregatortest

import (
	"bytes"
	"time"
)

// recordForm holds a message, and what is special about it.
type recordForm struct{ name, payload string }

// recordForms has a message of every form that docs/plugins/payload.md allows.
var recordForms = []recordForm{
	{"the least", `{"log":"hello\n","kubernetes":{"labels":{"app":"foo"}}}`},
	{"spread over lines", "{\n\t\"log\": \"hello\",\n\t\"kubernetes\": {\"labels\": {\"app\": \"foo\"}}\n}\n"},
	{"escapes", `{"log":"caf\u00e9 \ud83d\ude00 \/ <&>","kubernetes":{"labels":{"app":"foo"}}}`},
	{"a number that no float holds", `{"log":"x","time":1476822578123456789,"kubernetes":{"labels":{"app":"foo"}}}`},
	{"keys that come twice", `{"time":"noon","time":1476822578,"log":null,"log":"x","kubernetes":{"labels":{"app":"foo"}}}`},
	{"an object as the text", `{"log":{"b": 1.0, "a": []},"kubernetes":{"pod_labels":{"app":"foo"}}}`},
	{"a blank line", `{"log":"","kubernetes":{"labels":{"app":"foo"}}}`},
	{"the controller", `{"message":"INFO \t[foo]:scaled","kubernetes":{"namespace_name":"deis","container_name":"deis-controller"}}`},
	{"an array", ` [{"msg":"one","kubernetes":{"labels":{"app":"foo"}}}, {"msg":"two","kubernetes":{"labels":{"app":"foo"}}}]` + "\n"},
	{"a record a line", `{"msg":"one","kubernetes":{"labels":{"app":"foo"}}}` + "\n" + `{"msg":"two","kubernetes":{"labels":{"app":"foo"}}}` + "\n"},
	{"nothing between records", `{"msg":"one","kubernetes":{"labels":{"app":"foo"}}}{"msg":"two","kubernetes":{"labels":{"app":"foo"}}}`},
	{"arrays one after the other", `[{"msg":"one","kubernetes":{"labels":{"app":"foo"}}}]` + "\r\n" + `[{"msg":"two","kubernetes":{"labels":{"app":"foo"}}}]`},
	{"a piece of a line", `{"log":"x","logtag":"P","kubernetes":{"labels":{"app":"foo"}}}`},
	{"bytes that are no UTF-8", "{\"log\":\"caf\xe9 \xed\xa0\x80 \\ud800\",\"kubernetes\":{\"labels\":{\"app\":\"foo\"}}}"},
	{"no record", `<14>Oct 18 20:29:38 host foo: hello`},
}

// records: the host alone reads records. Each published message is delivered as one message, byte
// by byte, whatever the records in it are, and what the aggregator says of it fits the contract. A
// transport of texts takes each message as the text of one record, whatever it looks like.
func records(s *subject) {
	h := &host{}
	s.start(h)
	var forms []recordForm
	for _, form := range recordForms {
		if s.carries([]byte(form.payload)) {
			forms = append(forms, form)
			s.publish([]byte(form.payload))
		}
	}
	s.eventually("a message for each that was published", func() bool { return h.count() >= len(forms) })
	for i, got := range h.payloads() {
		switch {
		case i >= len(forms):
			s.Errorf("a message too many is %.80q: each that is published is delivered as one", got)
		case !bytes.Equal(got, []byte(forms[i].payload)):
			s.Errorf("%s: delivered as %.300q, published as %.300q", forms[i].name, got, forms[i].payload)
		}
	}
	type identity struct {
		id        string
		published time.Time
	}
	seen := map[identity]bool{}
	for _, b := range h.all() {
		for _, m := range b.messages {
			s.plausible(m.Published)
			one := identity{m.ID, m.Published}
			if m.ID != "" && seen[one] {
				s.Errorf("two messages have the id %q and were published at %s: the host takes the second for a copy", m.ID, m.Published)
			}
			seen[one] = true
		}
	}
	s.empty()
}

// plausible expects a publish time near the present. One in another unit than nanoseconds would be
// far off.
func (s *subject) plausible(published time.Time) {
	s.Helper()
	if off := time.Since(published).Abs(); !published.IsZero() && off > 24*time.Hour {
		s.Errorf("a message of just now was published at %s: is that in nanoseconds since 1970?", published)
	}
}
