package pipeline

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
)

var (
	mixInputs = flag.Int("mix-inputs", 20_000, "how many messages TestMixOfForms makes")
	mixSeed   = flag.Uint64("mix-seed", 0, "the seed of TestMixOfForms; 0 for a random one")
)

// TestMixOfForms mixes messages of all forms that collectors send. No record with a text becomes a
// blank line, none is lost without a reason, and none gets a wrong time or app. A third of the
// messages is then changed at random, and compared with the oracle.
func TestMixOfForms(t *testing.T) {
	seed := cmp.Or(*mixSeed, rand.Uint64())
	t.Logf("-mix-seed=%d", seed)
	m := mixer{Rand: rand.New(rand.NewPCG(seed, 0))}
	d := testDecoder()
	d.maxLine = 1000
	d.selection = &Selection{
		AppLabel: "app.kubernetes.io/name", LabelSelector: "heritage=deis", NamespacesExclude: "kube-system",
		ControllerContainer: "deis-controller", ControllerNamespace: "deis",
	}
	if err := d.selection.Compile(); err != nil {
		t.Fatal(err)
	}
	published := time.Date(2025, 5, 6, 7, 8, 9, 10, time.UTC)
	entries := 0
	for range *mixInputs {
		payload, want := m.message()
		got := decodeAll(t, d, &sdk.Message{Payload: payload, Published: published})
		if len(got) != len(want) {
			t.Fatalf("%s: %d outcomes of %d records: %+v", payload, len(got), len(want), got)
		}
		for i, w := range want {
			e := got[i].entry
			at := mixTime
			if w.timeless {
				at = published
			}
			switch {
			case got[i].reason != w.reason:
				t.Fatalf("%s: record %d: got %+v, want the reason %q", payload, i, got[i], w.reason)
			case w.reason != "":
			case got[i].app != "foo" || e.Message != w.text || !e.Time.Truncate(time.Second).Equal(at.Truncate(time.Second)):
				t.Fatalf("%s: record %d: got %+v, want %+v", payload, i, got[i], w)
			}
			if w.reason == "" {
				entries++
			}
		}
		if m.IntN(3) == 0 {
			checkAgainstOracle(t, d, m.changed(payload))
		}
	}
	if entries < *mixInputs/4 {
		t.Errorf("only %d records of %d messages became entries", entries, *mixInputs)
	}
}

// mixTime is the time of each record that states one.
var mixTime = time.Date(2016, 10, 18, 20, 29, 38, 0, time.UTC)

// mixer makes messages at random.
type mixer struct {
	*rand.Rand
	n int // of the texts so far
}

// mixed holds the expected result of a record.
type mixed struct {
	reason   Reason
	text     string
	timeless bool
}

// oneOf returns one of the texts.
func (m *mixer) oneOf(texts ...string) string { return texts[m.IntN(len(texts))] }

// message returns a message with one record or several, in any form.
func (m *mixer) message() (payload []byte, want []mixed) {
	n := 1
	if m.IntN(3) == 0 {
		n = 1 + m.IntN(6)
	}
	records := make([]string, n)
	want = make([]mixed, n)
	for i := range records {
		records[i], want[i] = m.record()
	}
	if m.IntN(4) == 0 {
		if i := m.IntN(n + 1); m.IntN(4) == 0 { // among good ones
			records = append(records[:i:i], append([]string{m.oneOf("null", "7", `"x"`)}, records[i:]...)...)
			want = append(want[:i:i], append([]mixed{{reason: Malformed}}, want[i:]...)...)
		}
		return []byte(m.oneOf("[", " [ ") + strings.Join(records, m.oneOf(",", " , ", ",\n")) + m.oneOf("]", " ]\n")), want
	}
	return []byte(strings.Join(records, m.oneOf("", "\n", "\r\n", " ", "\n\n")) + m.oneOf("", "\n")), want
}

// mixedMember holds a member of a record, and what it stands for.
type mixedMember struct {
	key, value string
	text       string // of a line
	none       bool   // has no text, or no usable time
}

// record returns a record that has each key up to twice, in any order.
func (m *mixer) record() (record string, want mixed) {
	controller := m.IntN(6) == 0
	var members []mixedMember
	for _, key := range []string{"log", "message", "msg"} {
		for range m.IntN(5) / 2 {
			members = append(members, m.text(key, controller))
		}
	}
	for _, key := range []string{"time", "timestamp", "@timestamp", "date", "ts", "_ts"} {
		for range m.IntN(9) / 7 {
			members = append(members, m.time(key))
		}
	}
	kubernetes, reason := m.kubernetes(controller)
	members = append(members, mixedMember{key: "kubernetes", value: kubernetes},
		mixedMember{key: m.oneOf("stream", "_p", "logtag", "tags", "file", "Log", "docker"), value: m.oneOf(`"stdout"`, "null", `"F"`, `"P"`, `"P:x"`, `"Px"`, `{"log":"fake","time":1}`)})
	m.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })

	texts := map[string]*mixedMember{}
	want.timeless = true
	written := make([]string, len(members))
	for i := range members {
		one := &members[i]
		written[i] = `"` + one.key + `"` + m.oneOf(":", ": ") + one.value
		switch one.key {
		case "log", "message", "msg":
			if !one.none && (one.text != "" || texts[one.key] == nil) {
				texts[one.key] = one
			}
		case "time", "timestamp", "@timestamp", "date", "ts", "_ts":
			want.timeless = want.timeless && one.none
		}
	}
	text := cmp.Or(texts["log"], texts["message"], texts["msg"])
	switch {
	case reason != "":
		want.reason = reason
	case text == nil:
		want.reason = NoLog
	case controller && !strings.HasPrefix(text.text, "INFO "):
		want.reason = BadControllerLine
	default:
		want.text = text.text
	}
	return "{" + strings.Join(written, m.oneOf(",", ", ", " ,\t")) + "}", want
}

// text returns the text of a line in one of its forms.
func (m *mixer) text(key string, controller bool) mixedMember {
	m.n++
	one := mixedMember{key: key, text: fmt.Sprintf("text %d", m.n)}
	end := m.oneOf(``, `\n`, `\u000a`)
	if controller && m.IntN(4) > 0 {
		one.value = `"INFO` + m.oneOf(" ", "  ", `\t`, ` \t`) + `[` + m.oneOf("foo", `f\u006fo`) + `]:` + m.oneOf("", " ", "  ") + one.text + end + `"`
		one.text = "INFO " + one.text
		return one
	}
	switch m.IntN(10) {
	case 0:
		one.value, one.none = "null", true
	case 1:
		one.value, one.text = `"`+end+`"`, ""
	case 2:
		one.value = `{ "a" : "` + one.text + `", "b":[ 1.50 ,{}]}`
		one.text = `{"a":"` + one.text + `","b":[1.50,{}]}`
	case 3:
		one.value, one.text = `[ "\u00e9" ]`, `["é"]`
	case 4:
		one.text = m.oneOf("0", "-1.5e3", "true", "false", "[]", "{}")
		one.value = one.text
	case 5:
		one.value, one.text = `"`+one.text+"\xff"+`\ud83d\ude00\ud800`+end+`"`, one.text+"\ufffd\U0001F600\ufffd"
	default:
		one.value = `"` + one.text + end + `"`
	}
	return one
}

// time returns mixTime in one of its forms, or no time.
func (m *mixer) time(key string) mixedMember {
	if m.IntN(4) == 0 {
		return mixedMember{key: key, none: true, value: m.oneOf("null", "0", "-1", "12.5", "true", "{}", `""`, `"noon"`, `"2016-02-31T00:00:00Z"`, "1e99", "[1476822578]")}
	}
	if m.IntN(2) == 0 {
		return mixedMember{key: key, value: m.oneOf("1476822578", "1476822578.123456", "1476822578123", "1476822578123.9", "1476822578123456", "1476822578123456789", "1.476822578e9")}
	}
	return mixedMember{key: key, value: `"` + m.oneOf("2016-10-18", `2016\u002d10-18`) + m.oneOf("T", " ", "t") + "20:29:38" + m.oneOf("", ".5", ",123456789") + m.oneOf("", "Z", "z", "+00:00", "+0000", "-00:00") + `"`}
}

// kubernetes returns the description of a container of foo in one of its forms, or no description.
func (m *mixer) kubernetes(controller bool) (object string, reason Reason) {
	labels := `"heritage":"deis","` + m.oneOf("app.kubernetes.io/name", "app_kubernetes_io/name") + `":"foo","app":"bar"`
	namespace, container := "foo", "foo-web"
	if controller {
		namespace, container = "deis", "deis-controller"
	}
	switch m.IntN(12) {
	case 0:
		labels, reason = strings.Replace(labels, `"deis"`, m.oneOf(`"helm"`, "null", "{}"), 1), NotSelected
	case 1:
		namespace, reason = "kube-system", NotSelected
	case 2:
		if labels = `"heritage":"deis","app":"foo"`; !controller {
			reason = NoApp
		}
	case 3:
		if labels = strings.Replace(labels, "foo", "f/oo", 1); !controller {
			reason = BadApp
		}
	case 4:
		if !controller { // an app's own, which is not believed
			container = "x-deis-controller"
		}
	}
	id := ""
	if m.IntN(2) == 0 { // long enough to be remembered
		id = fmt.Sprintf(`"pod_id":"%0200d",`, m.IntN(5))
	}
	if m.IntN(2) == 0 {
		return fmt.Sprintf(`{%s"pod_name":"foo-web-1-x","container_name":"%s","namespace_name":"%s","host":"h","labels":{%s}}`, id, container, namespace, labels), reason
	}
	return fmt.Sprintf(`{%s"container_name":"%s","pod_labels":{%s},"pod_namespace":"%s","pod_node_name":"h","pod_name":"foo-web-1-x"}`, id, container, labels, namespace), reason
}

// changed returns the message with a few bytes changed, removed or repeated.
func (m *mixer) changed(payload []byte) []byte {
	payload = bytes.Clone(payload)
	for range 1 + m.IntN(3) {
		at := m.IntN(len(payload))
		to := min(len(payload), at+m.IntN(10))
		switch m.IntN(4) {
		case 0:
			payload = append(payload[:at], payload[to:]...)
		case 1:
			payload = append(payload[:to:to], payload[at:]...)
		case 2:
			payload[at] = "\"\\{}[],:0eE.-\n\x00\xffnt"[m.IntN(18)]
		default:
			payload = append(payload[:at:at], append([]byte(m.oneOf("null", `"log":`, "{", "}{", "\n{", "]", `\ud800`, `"`)), payload[at:]...)...)
		}
		if len(payload) == 0 {
			return []byte(" ")
		}
	}
	return payload
}
