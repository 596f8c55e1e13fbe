package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/deis/logger/internal/corpus"
	"github.com/deis/logger/sdk"
)

// decodeAll returns everything that the decoder makes of a message.
func decodeAll(t testing.TB, d *decoder, m *sdk.Message) (out []outcome) {
	t.Helper()
	d.decode(m, func(app string, e *sdk.Entry, err error) {
		r := (*rejection)(nil)
		switch {
		case err == nil:
			out = append(out, outcome{app: app, entry: *e})
		case errors.As(err, &r):
			out = append(out, outcome{reason: r.reason})
		default:
			t.Fatalf("an error that is no rejection: %v", err)
		}
		if d.start < 0 || d.start > len(m.Payload) {
			t.Fatalf("a record begins at %d of %d bytes", d.start, len(m.Payload))
		}
	})
	return out
}

// checkAgainstOracle decodes a message both ways, and then again as that of a known container.
func checkAgainstOracle(t *testing.T, d *decoder, payload []byte) {
	t.Helper()
	before := bytes.Clone(payload)
	m := &sdk.Message{Payload: payload}
	got := decodeAll(t, d, m)
	checkAgainstUnknown(t, d, payload)
	if !bytes.Equal(payload, before) {
		t.Fatal("the payload was changed")
	}
	o := oracle{maxLine: d.maxLine, arrival: d.arrival, selection: d.selection}
	want := o.decode(m)
	// The strings must not share memory with the payload, which changes now.
	for i := range payload {
		payload[i] = 'x'
	}
	if !slices.EqualFunc(got, want, sameOutcome) {
		t.Fatalf("%q:\n got %+v\nwant %+v", clip(before), got, want)
	}
	if len(got) == 0 {
		t.Fatalf("%q: not even rejected", clip(before))
	}
	for _, r := range got {
		if r.reason == "" && (sdk.CheckApp(r.app) != nil || r.entry.Valid() != nil || len(r.entry.Message) > d.maxLine) {
			t.Fatalf("app %q, %v, %d bytes", r.app, r.entry.Valid(), len(r.entry.Message))
		}
	}
}

// checkAgainstUnknown also decodes a message with a decoder that knows no containers.
func checkAgainstUnknown(t *testing.T, d *decoder, payload []byte) {
	t.Helper()
	unknown := decoder{maxLine: d.maxLine, arrival: d.arrival, selection: d.selection}
	m := &sdk.Message{Payload: payload}
	if got, want := decodeAll(t, d, m), decodeAll(t, &unknown, m); !slices.EqualFunc(got, want, sameOutcome) {
		t.Fatalf("%q:\n got %+v\nwant %+v", clip(payload), got, want)
	}
}

// sameOutcome reports whether the outcomes are equal, including the offsets of their times.
func sameOutcome(a, b outcome) bool {
	_, offset := a.entry.Time.Zone()
	_, other := b.entry.Time.Zone()
	same := a.entry.Time.Equal(b.entry.Time) && offset == other
	a.entry.Time = b.entry.Time
	return same && a == b
}

func clip(b []byte) []byte { return b[:min(len(b), 2000)] }

// message returns a message of the app foo, with additional members.
func message(members, kubernetes, labels string) []byte {
	return []byte(`{` + members + `"kubernetes":{` + kubernetes + `"labels":{` + labels + `"app":"foo"}}}`)
}

// seeds returns messages about which decoders differ.
func seeds() [][]byte {
	out := slices.Clone(corpus.Messages())
	for i, payload := range out {
		out[i] = bytes.Clone(payload[:min(len(payload), 1500)])
	}
	values := []string{
		`""`, `"x"`, `"\n"`, `"a\nb\n\n"`, `"\u000a"`, `"\r\n"`, `"\b\f\t\/\"\\"`, `"\u0000"`, `"\v"`, `"\u12"`, `"\u12g4"`, `"\`, `"\u`,
		`"\ud83d\ude00"`, `"\uD83D\uDE00"`, `"\ud83d"`, `"\ude00"`, `"\ud83d\ud83d\ude00"`, `"\ud83d\u0041"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\`,
		"\"\xff\"", "\"\xe2\x82\"", "\"\xe2\x82\\n\xac\"", "\"\xed\xa0\x80\"", "\"\xf0\x9f\x98\x80\"", "\"\xc0\xaf\"", "\"\xef\xbb\xbf\"",
		"\"a\nb\"", "\"\x00\"", "\"\x1f\"", "\"\x7f\"", "\"\u0085\u00a0\u2028\"", "\"a\tb\"", `"`, `'x'`,
		`0`, `-0`, `01`, `-`, `+1`, `1.`, `.5`, `1.5e`, `1e+`, `1E-7`, `0x1`, `1e999999`, strings.Repeat("9", 400), `NaN`, `Infinity`,
		`null`, `true`, `false`, `nul`, `nullx`, `True`, `truefalse`,
		`{}`, `[]`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `[1 2]`, `{a:1}`, `[}`, `{]`, `{"a":[{"b":[null,{"c":"\n"}]}]}`,
		`[[[[[[]]]]]]`, `{"":{"":{"":0}}}`, `{"\u0061":1,"a":2}`, ``, ` `, "\u00a0", "/**/1",
	}
	values = append(values, `"ERROR"`, `"warn: x"`, `30`, `35`, `"w\u0061rn"`, `"{\"level\":\"debug\"}"`, `{"level": "debug"}`, `"\u001b[31merror\u001b[0m: x"`)
	times := []string{
		"2016-10-18T20:29:38Z", "2016-10-18t20:29:38z", "2016-10-18 20:29:38Z", "2016-12-31T23:59:60Z", "2016-12-31T23:60:00Z", "2016-12-31T24:00:00Z",
		"2016-10-18T20:29:38.Z", "2016-10-18T20:29:38.1234567891Z", "2016-10-18T20:29:38.5+05:30", "2016-10-18T20:29:38+05:47", "2016-10-18T20:29:38-00:00",
		"2016-10-18T20:29:38+24:00", "2016-10-18T20:29:38+23:60", "2016-10-18T20:29:38+23:59", "2016-10-18T20:29:38 01:00", "2016-10-18T20:29:38+0100",
		"2016-02-29T00:00:00Z", "2015-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2016-04-31T00:00:00Z", "2016-00-01T00:00:00Z",
		"2016-13-01T00:00:00Z", "2016-01-00T00:00:00Z", "0000-01-01T00:00:00Z", "0000-02-29T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00Z",
		"2016-10-18T20:29:38", "2016-10-18T20:29", "2016-10-18", "2016\\u002d10-18T20:29:38Z", "2016-10-18T20:29:38\\u005a", "2016-10-18T20:29:38Z\\n",
		"2016-10-18T20:29:38." + strings.Repeat("1", 43) + "Z", "2016-10-18T20:29:38." + strings.Repeat("1", 44) + "Z", "/016-10-18T20:29:38Z", ":016-10-18T20:29:38Z",
		"2016-10-18T20:29:38,5Z", "2016-10-18 20:29:38.123", "2016-10-18 20:29:38,123+0230", "2016-10-18T20:29:38+2360", "2016-10-18T20:29:38+01", "2016-10-18T20:29:38 +0100",
		"\uff12016-10-18T20:29:38Z", "2016-10-18T20:29:38.\u0661Z",
	}
	values = append(values, []string{
		"1476822578", "1476822578.123456", "1476822578.1234567891", "1476822578123", "1476822578123.5", "1476822578123456", "1476822578123456789", "99999999",
		"1e8", "99999999.9", "99999999999", "99999999999.999", "1e11", "1e14", "1e17", "9223372036854775807", "9223372036854775808", "1.476822578123E9", "-1476822578",
		"1476822578." + strings.Repeat("1", 53), "1476822578." + strings.Repeat("1", 54), "100000000", "0.1476822578e10",
	}...)
	for _, at := range times {
		values = append(values, `"`+at+`"`)
	}
	for _, v := range values {
		for _, name := range []string{
			"log", "message", "msg", "stream", "time", "timestamp", "_ts", "level", "severity", "x", "kubernetes", `l\u006fg`, `t\u0069me`, "Log", "lo", "log\\u0000", "\xff",
		} {
			out = append(out, message(`"`+name+`":`+v+`,`, "", ""))
		}
		for _, name := range []string{"pod_name", "container_name", "host", "pod_node_name", "namespace_name", "labels", "pod_labels", "x"} {
			out = append(out, message("", `"`+name+`":`+v+`,`, ""))
		}
		for _, name := range []string{"type", "version", "app", "x"} {
			out = append(out, message("", "", `"`+name+`" : `+v+" , "))
		}
		out = append(out, []byte(v), []byte(`{"log":"x","kubernetes":{"labels":{"app":`+v+`}}}`), append(message(`"log":"y",`, "", ""), v...),
			[]byte("["+v+","+string(message(`"log":"z",`, "", ""))+"]"), []byte(`{"log":`+v+"\n"+string(message(`"log":"z",`, "", ""))))
	}
	for _, log := range []string{
		`INFO [foo]: x`, `WARN [foo]:`, `ERROR [foo]:  \n\n `, `DEBUG [foo]: \n`, `INFO [f\u006fo]: \ud800`, `CRITICAL [foo]: x]: y  \n`,
		`INFO [\u00e9]: x`, `INFO [` + strings.Repeat("a", 253) + `]: x`, `INFO [` + strings.Repeat("a", 300) + `]: x`, "INFO [foo]: \xff ", `INFO  [foo]: x`, `INFO\t \t[foo]:x`, `INFO[foo]: x`, `INFO\n[foo]: x`,
	} {
		for _, container := range []string{`deis-controller`, `x-deis\u002dcontroller-`, "\xffdeis-controller\xff", `Deis-Controller`, `deis-controlle`} {
			out = append(out, []byte(`{"log":"`+log+`","kubernetes":{"container_name":"`+container+`","labels":{"app":"bar"}}}`))
		}
	}
	for _, s := range []string{
		`{"kubernetes":{"pod_name":"a","labels":{"app":"foo","type":"x"}},"kubernetes":{"host":"b","labels":{"version":"c"}}}`,
		`{"kubernetes":{"pod_name":"a","labels":{"app":"foo"}},"kubernetes":null}`,
		`{"kubernetes":{"pod_name":"a","labels":{"app":"foo"},"labels":null}}`,
		`{"log":"a","log":null,"time":1,"time":null,"stream":"a","stream":1,"kubernetes":{"labels":{"app":"foo"}}}`,
		`{"log":1,"log":"a","kubernetes":{"labels":{"app":"foo"}}}`,
		`{"message":"m","msg":"n","log":null,"kubernetes":{"labels":{"app":"foo"}}}`, `{"log":"a","log":"","log":"\n","log":"\u000A","kubernetes":{"labels":{"app":"foo"}}}`,
		`{"log":{"b": [1.0, "\u00e9\ud800", {}]},"time":"x","time":null,"ts":1,"timestamp":"2016-10-18 20:29:38","kubernetes":{"pod_labels":{"app":"foo"}}}`,
		`[]`, `[`, `[{}`, `[{},]`, `[{} {}]`, `[{}]x`, `[{},{}]`, `[[{}],{}]`, `{} {}`, "{}\n{}", "{]\n{}\n{", "{\"a\n\":1}\n{}\n\n{x\n{}", `{},{}`,
		"\xef\xbb\xbf" + `{"kubernetes":{"labels":{"app":"foo"}}}`,
		` {"kubernetes":{"labels":{"app":"foo"}}} ` + "\r\n\t",
		`{"kubernetes":{"labels":{"app":"foo"}}}{}`, `{"kubernetes":{"labels":{"app":"foo"}}},`, `{"kubernetes":{"labels":{"app":"foo"}}}` + "\x00",
		`{"kubernetes":{"labels":{"app":"f\u006fo"}}}`, `{"kubernetes":{"labels":{"app":"foo\u007f"}}}`, `{"\ud800":1,"kubernetes":{"labels":{"app":"foo"}}}`,
	} {
		out = append(out, []byte(s))
	}
	return out
}

// described returns the seeds whose description can be kept.
func described() [][]byte {
	var out [][]byte
	for _, payload := range seeds() {
		if payload = describe(payload); payload != nil {
			out = append(out, payload)
		}
	}
	return out
}

// describe makes the message's description long enough to be kept. It returns nil if the message
// has none.
func describe(payload []byte) []byte {
	const object = `"kubernetes":{`
	if !bytes.Contains(payload, []byte(object)) {
		return nil
	}
	return bytes.Replace(payload, []byte(object), fmt.Appendf(nil, `"docker":{"container_id":"%0*x"},%s`, head, len(payload), object), 1)
}

func TestDecodeAgreesWithTheOracle(t *testing.T) {
	for _, size := range []int{1, 3, 64, 64 << 10} {
		d := testDecoder() // one decoder for all, as in a pipeline
		d.maxLine = size
		for _, payload := range append(seeds(), described()...) {
			for _, pad := range []int{0, 1, 5} { // moves the borders of words of eight bytes
				checkAgainstOracle(t, d, slices.Concat(bytes.Repeat([]byte(" "), pad), payload))
			}
		}
	}
}

// TestDecodeAtTheDeepest nests as deep as is accepted, and one level deeper, in every place.
func TestDecodeAtTheDeepest(t *testing.T) {
	d := testDecoder()
	for _, kind := range [][2]string{{"[", "]"}, {`{"a":`, `}`}, {`[{"a":`, `}]`}} {
		per := strings.Count(kind[0], "[") + strings.Count(kind[0], "{")
		for n := maxDepth/per - 4; n <= maxDepth/per+1; n++ {
			deep := strings.Repeat(kind[0], n) + "0" + strings.Repeat(kind[1], n)
			for _, payload := range [][]byte{
				message(`"x":`+deep+`,`, "", ""), message(`"stream":`+deep+`,`, "", ""), message(`"time":`+deep+`,`, "", ""),
				message("", `"x":`+deep+`,`, ""), message("", `"host":`+deep+`,`, ""),
				message("", "", `"x":`+deep+`,`), message("", "", `"type":`+deep+`,`),
			} {
				checkAgainstOracle(t, d, payload)
			}
		}
		checkAgainstOracle(t, d, message(`"x":`+strings.Repeat(kind[0], 50_000), "", ""))
	}
}

// FuzzDecode compares with the oracle. One decoder is used for all messages, as in a pipeline.
func FuzzDecode(f *testing.F) {
	for _, payload := range seeds() {
		f.Add(payload)
	}
	d := testDecoder()
	f.Fuzz(func(t *testing.T, payload []byte) { checkAgainstOracle(t, d, bytes.Clone(payload)) })
}

// FuzzDecodeKnown changes one place in a message of a known container.
func FuzzDecodeKnown(f *testing.F) {
	for i, payload := range described() {
		if i%25 == 0 { // each takes time before the fuzzing begins
			f.Add(payload, uint(len(payload)/2), uint(1), []byte(`"`))
		}
	}
	for _, payload := range lines(100)[98:] {
		f.Add(payload, uint(len(payload)-1), uint(0), []byte(`,"kubernetes":{"host":"x","labels":{"type":"y"}}`))
	}
	d := testDecoder()
	f.Fuzz(func(t *testing.T, payload []byte, at, without uint, with []byte) {
		checkAgainstOracle(t, d, bytes.Clone(payload))
		at %= uint(len(payload) + 1)
		without %= uint(len(payload)) - at + 1
		checkAgainstUnknown(t, d, slices.Replace(bytes.Clone(payload), int(at), int(at+without), with...))
	})
}

// FuzzDecodeText changes all texts and the time in an otherwise sound message: decoders differ most
// in the contents of strings.
func FuzzDecodeText(f *testing.F) {
	for _, s := range []string{"x\n", `a\nb\n`, "\xff", `\ud83d\ude00`, `\ud83d`, "\u00e9", "2016-10-18T20:29:38.123+02:00", `INFO [foo]: x\n`} {
		f.Add([]byte(s), []byte(s), s[0]&1 == 0)
	}
	d := testDecoder()
	f.Fuzz(func(t *testing.T, text, at []byte, controller bool) {
		container := "web"
		if controller {
			container = "deis-controller"
		}
		payload := slices.Concat([]byte(`{"log":"`), text, []byte(`","time":"2016-10-18T20:29:38`), at, []byte(`","stream":"`), text,
			[]byte(`","kubernetes":{"pod_name":"`), text, []byte(`","container_name":"`+container+`","labels":{"app":"foo"}}}`))
		checkAgainstOracle(t, d, payload)
	})
}

// FuzzParseTime compares with the time package, and with numbers of any size.
func FuzzParseTime(f *testing.F) {
	f.Add("2016-10-18T20:29:38.123456+05:45")
	f.Add("2016-12-31t23:59:60z")
	f.Add("0000-02-29 00:00:00,5-2359")
	f.Add("1476822578.123456")
	f.Add("1.476822578123e12")
	f.Fuzz(func(t *testing.T, s string) {
		check := func(got time.Time, form timeForm, want time.Time, wantForm timeForm) {
			_, offset := got.Zone()
			_, wantOffset := want.Zone()
			if form != wantForm || !got.Equal(want) || offset != wantOffset {
				t.Errorf("%q: got %v, %s, want %v, %s", s, got, timeFormNames[form], want, timeFormNames[wantForm])
			}
		}
		got, form := parseTime([]byte(s))
		want, wantForm := parseTimeSlowly(s)
		check(got, form, want, wantForm)
		if v := jsontext.Value(s); v.IsValid() && v.Kind() == '0' {
			got, form = parseEpoch([]byte(strings.TrimSpace(s)))
			want, wantForm = parseEpochSlowly(strings.TrimSpace(s))
			check(got, form, want, wantForm)
		}
	})
}
