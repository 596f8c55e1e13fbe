package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/deis/logger/sdk"
)

func testDecoder() *decoder {
	return &decoder{
		maxLine: 64, selection: testSelection(), containers: new(containers),
		arrival: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)),
	}
}

// testSelection returns the default selection.
func testSelection() *Selection {
	s := &Selection{AppLabel: "app", ControllerContainer: "deis-controller"}
	if err := s.Compile(); err != nil {
		panic(err)
	}
	return s
}

// decode returns what a new decoder makes of a message with one record.
func decode(m *sdk.Message) (app string, e sdk.Entry, err error) {
	n := 0
	testDecoder().decode(m, func(a string, made *sdk.Entry, fault error) {
		if app, err = a, fault; fault == nil {
			e = *made
		}
		n++
	})
	if n != 1 {
		err = fmt.Errorf("%d records", n)
	}
	return app, e, err
}

func TestDecodeKeepsTheFields(t *testing.T) {
	published := time.Unix(1, 2)
	app, e, err := decode(&sdk.Message{Published: published, Payload: []byte(
		`{"log":"hi\n","stream":"stderr","time":"2016-10-18T20:29:40.000001+05:45","docker":{"container_id":"x"},` +
			`"kubernetes":{"pod_name":"foo-web-1-abc","container_name":"foo-web","host":"n1","labels":{"app":"foo","type":"web","version":"v2","other":3}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	_, offset := e.Time.Zone()
	if app != "foo" || offset != 5*3600+45*60 || e.Time.Nanosecond() != 1000 || !e.Published.Equal(published) ||
		e.Source != sdk.SourceApp || e.Process != "web" || e.Release != "v2" || e.Pod != "foo-web-1-abc" || e.Container != "foo-web" ||
		e.Stream != "stderr" || e.Host != "n1" || e.Message != "hi" || e.CutBytes != 0 {
		t.Errorf("got %s, %+v", app, e)
	}
}

// TestDecodeFindsTheLevel: a level that a collector extracted takes precedence over the text's.
func TestDecodeFindsTheLevel(t *testing.T) {
	const app, controller = `"kubernetes":{"labels":{"app":"foo"}}}`, `"kubernetes":{"container_name":"deis-controller"}}`
	for payload, want := range map[string]sdk.Level{
		`{"log":"hello\n","stream":"stderr",` + app:                                               sdk.LevelUnknown,
		`{"log":"ERROR hello\n",` + app:                                                           sdk.LevelError,
		`{"log":"\u001b[33mwarn\u001b[39m: hello\n",` + app:                                       sdk.LevelWarn,
		`{"log":"{\"msg\":\"hello\",\"level\":\"debug\"}\n",` + app:                               sdk.LevelDebug,
		`{"log":{"msg":"hello","level":"debug"},` + app:                                           sdk.LevelDebug,
		`{"level":30,"msg":"ERROR is a word",` + app:                                              sdk.LevelInfo,
		`{"msg":"hello",` + app[:len(app)-1] + `,"severity":"Warning"}`:                           sdk.LevelWarn,
		`{"level":null,"lvl":"gold","log.level":"FATAL","level":"info",` + `"message":"x",` + app: sdk.LevelFatal,
		`{"level":{"level":"error"},"log":"WARN x",` + app:                                        sdk.LevelWarn,
		`{"level":"` + strings.Repeat("error", 10) + `","log":"x",` + app:                         sdk.LevelUnknown,
		`{"log":"CRITICAL [foo]: hello","level":"info",` + controller:                             sdk.LevelFatal,
		`{"log":"WARNING\t[foo]: ERROR",` + controller:                                            sdk.LevelWarn,
		`{"log":"DEBUG [foo]:",` + controller:                                                     sdk.LevelDebug,
	} {
		if _, e, err := decode(&sdk.Message{Payload: []byte(payload)}); err != nil || e.Level != want {
			t.Errorf("%s: %s, %v, want %s", payload, e.Level, err, want)
		}
	}
}

func TestDecodeTakesOnlyItsOwnNames(t *testing.T) {
	_, e, err := decode(&sdk.Message{Payload: []byte(
		`{"log":"real","Log":"fake","Message":"fake","LOG":{"a":1},"Time":1700000000,"STREAM":7,"kubernetes":{"labels":{"app":"foo","App":"bar"}},"Kubernetes":[]}`)})
	if err != nil || e.Message != "real" {
		t.Errorf("got %q, %v", e.Message, err)
	}
}

func TestDecodeTakesWhatIsOptionalAsItComes(t *testing.T) {
	app, e, err := decode(&sdk.Message{Payload: []byte(
		`{"log":"x","stream":7,"kubernetes":{"pod_name":{},"host":[1],"labels":{"app":"foo","type":"we\nb\u001b","version":2}}}`)})
	if err != nil || app != "foo" || e.Process != "web" || e.Release != "" || e.Stream != "" || e.Pod != "" || e.Host != "" {
		t.Errorf("got %s, %+v, %v", app, e, err)
	}
}

func TestDecodeMakesValidUTF8(t *testing.T) {
	_, e, err := decode(&sdk.Message{Payload: []byte("{\"log\":\"a\xffb\\ud800c\",\"kubernetes\":{\"labels\":{\"app\":\"x\",\"app\":\"foo\"}}}")})
	if err != nil || e.Message != "a\ufffdb\ufffdc" {
		t.Errorf("got %q, %v", e.Message, err)
	}
}

func TestDecodeRejects(t *testing.T) {
	app := func(fields string) string { return `{` + fields + `"kubernetes":{"labels":{"app":"foo"}}}` }
	controller := func(log string) string {
		return `{"log":"` + log + `","kubernetes":{"container_name":"x-deis-controller-y"}}`
	}
	for name, tc := range map[string]struct {
		payload string
		want    Reason
		detail  string // part of it
	}{
		"empty":                   {"", Malformed, "byte 0"},
		"text":                    {"not json", Malformed, "byte 0"},
		"null":                    {" null", Malformed, "not a JSON object at byte 1"},
		"no record":               {"[]", Malformed, "byte 1"},
		"string":                  {`"x"`, Malformed, "not a JSON object"},
		"cut off":                 {app("")[:20], Malformed, "string without an end at byte 20"},
		"control character":       {app("\"log\":\"a\nb\","), Malformed, "control character in a string at byte 9"},
		"no text":                 {app(`"text":"x",`), NoLog, "no text under log, message or msg"},
		"null texts":              {app(`"log":null,"message":null,"msg":null,`), NoLog, "no text"},
		"no kubernetes":           {`{"log":"x"}`, NoApp, "no label app"},
		"no labels":               {`{"log":"x","kubernetes":{"pod_name":"foo-1","namespace_name":"ns"}}`, NoApp, `pod "foo-1" in namespace "ns" has no label app`},
		"labels is null":          {`{"log":"x","kubernetes":{"labels":null}}`, NoApp, ""},
		"labels is a string":      {`{"log":"x","kubernetes":{"labels":"x"}}`, NoApp, ""},
		"empty app":               {`{"log":"x","kubernetes":{"labels":{"app":""}}}`, NoApp, ""},
		"app is a number":         {`{"log":"x","kubernetes":{"labels":{"app":1}}}`, NoApp, ""},
		"app is a path":           {`{"log":"x","kubernetes":{"labels":{"app":"../x"}}}`, BadApp, `"../x"`},
		"app with a newline":      {`{"log":"x","kubernetes":{"labels":{"app":"x\n"}}}`, BadApp, `"x\n"`},
		"app of 300 bytes":        {`{"log":"x","kubernetes":{"labels":{"app":"` + strings.Repeat("a", 300) + `"}}}`, BadApp, "253"},
		"controller: no app":      {controller("INFO: x"), BadControllerLine, `"INFO: x" is not`},
		"controller: empty app":   {controller("INFO []: x"), BadControllerLine, ""},
		"controller: bad app":     {controller("INFO [a b]: x"), BadControllerLine, ""},
		"controller: no colon":    {controller("INFO [foo] x"), BadControllerLine, ""},
		"controller: level":       {controller("NOTICE [foo]: x"), BadControllerLine, "NOTICE"},
		"controller: lower case":  {controller("info [foo]: x"), BadControllerLine, ""},
		"controller: nothing":     {controller(""), BadControllerLine, ""},
		"controller: level only":  {controller("INFO "), BadControllerLine, ""},
		"controller: no space":    {controller("INFO[foo]: x"), BadControllerLine, ""},
		"controller: space first": {controller(" INFO [foo]: x"), BadControllerLine, ""},
		"controller: unclosed":    {controller("INFO [foo"), BadControllerLine, ""},
		"controller: access log":  {controller("10.0.0.1 GET /"), BadControllerLine, "10.0.0.1"},
		"controller: an object":   {`{"log":{"a":1},"kubernetes":{"container_name":"deis-controller"}}`, BadControllerLine, `a\":1`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decode(&sdk.Message{Payload: []byte(tc.payload)})
			if r := (*rejection)(nil); !errors.As(err, &r) || r.reason != tc.want || !strings.Contains(r.detail, tc.detail) {
				t.Errorf("got %v, want %s with %s", err, tc.want, tc.detail)
			}
		})
	}
}

// TestDecodeTexts covers the row "text" of the messages that collectors send.
func TestDecodeTexts(t *testing.T) {
	for in, want := range map[string]string{
		`"log":"a","message":"b","msg":"c"`:             "a",
		`"msg":"c","message":"b"`:                       "b",
		`"log":null,"message":"b","msg":"c"`:            "b",
		`"log":null,"message":null,"msg":"c"`:           "c",
		`"log":"","message":"b"`:                        "",
		`"log":"\n","message":"b"`:                      "",
		`"log":"a","log":null`:                          "a",
		`"log":"a","log":""`:                            "a",
		`"log":"","log":"a"`:                            "a",
		`"log":"a","log":"\u000a"`:                      "a",
		`"log":"a","log":"b"`:                           "b",
		`"log":"a","log":7`:                             "7",
		`"log":{ "a" : [ 1.50 , "\u00e9\n" ], "b":{} }`: `{"a":[1.50,"é\n"],"b":{}}`,
		"\"log\":[ ]":                                   "[]",
		"\"message\":{\"a\":\"\xff\"}":                  "{\"a\":\"\ufffd\"}",
		`"message":{"a":"\ud800"}`:                      "{\"a\":\"\ufffd\"}",
		`"log":{"a":1,"a":2}`:                           `{"a":1,"a":2}`,
		`"log":-1.50e3`:                                 "-1.50e3",
		`"log":12345678901234567890`:                    "12345678901234567890",
		`"msg":true`:                                    "true",
		`"msg":false`:                                   "false",
	} {
		_, e, err := decode(&sdk.Message{Payload: []byte(`{` + in + `,"kubernetes":{"labels":{"app":"a"}}}`)})
		if err != nil || e.Message != want {
			t.Errorf("%s: got %q, %v, want %q", in, e.Message, err, want)
		}
	}
}

// TestDecodeCutsWhatIsNoString: the limit of a line applies to all texts.
func TestDecodeCutsWhatIsNoString(t *testing.T) {
	long := strings.Repeat("€", 100)
	_, e, err := decode(&sdk.Message{Payload: []byte(`{"log":{"a":"` + long + `"},"kubernetes":{"labels":{"app":"a"}}}`)})
	if want := `{"a":"` + long[:57]; err != nil || e.Message != want || e.CutBytes != uint64(300-57+2) {
		t.Errorf("got %q, %d, %v, want %q", e.Message, e.CutBytes, err, want)
	}
}

// TestDecodeTimes covers the row "time" of the messages that collectors send.
func TestDecodeTimes(t *testing.T) {
	const publish = "2026-01-02T02:04:04Z"
	for in, want := range map[string]struct {
		time string
		form timeForm
	}{
		`"time":"2016-10-18T20:29:38Z"`:                               {"2016-10-18T20:29:38Z", timeRFC3339},
		`"time":"2016-10-18t20:29:38z"`:                               {"2016-10-18T20:29:38Z", timeRFC3339},
		`"time":"2016-12-31T23:59:60Z"`:                               {"2016-12-31T23:59:59Z", timeRFC3339},
		`"time":"2016-10-18T20:29:38.999999999-11:30"`:                {"2016-10-18T20:29:38.999999999-11:30", timeRFC3339},
		`"time":"2016-10-18T20:29:38.1234567899Z"`:                    {"2016-10-18T20:29:38.123456789Z", timeRFC3339},
		`"time":"2016-10-18T20:29:38+0545"`:                           {"2016-10-18T20:29:38+05:45", timeRFC3339},
		`"time":"2016-10-18 20:29:38,5+00:00"`:                        {"2016-10-18T20:29:38.5Z", timeRFC3339},
		`"time":"2016-10-18 20:29:38.25"`:                             {"2016-10-18T20:29:38.25Z", timeNoOffset},
		`"time":"0001-01-01T00:00:00Z"`:                               {"0001-01-01T00:00:00Z", timeRFC3339},
		`"time":"9999-12-31T23:59:59+14:00"`:                          {"9999-12-31T23:59:59+14:00", timeRFC3339},
		`"time":1476822578`:                                           {"2016-10-18T20:29:38Z", timeSeconds},
		`"time":1476822578.123456`:                                    {"2016-10-18T20:29:38.123456Z", timeSeconds},
		`"time":1.476822578123e9`:                                     {"2016-10-18T20:29:38.123Z", timeSeconds},
		`"time":1476822578123`:                                        {"2016-10-18T20:29:38.123Z", timeMillis},
		`"time":1476822578123.456`:                                    {"2016-10-18T20:29:38.123456Z", timeMillis},
		`"time":1476822578123456`:                                     {"2016-10-18T20:29:38.123456Z", timeMicros},
		`"time":1476822578123456789`:                                  {"2016-10-18T20:29:38.123456789Z", timeNanos},
		`"timestamp":"2016-10-18T20:29:38Z"`:                          {"2016-10-18T20:29:38Z", timeRFC3339},
		`"@timestamp":"2016-10-18T20:29:38Z"`:                         {"2016-10-18T20:29:38Z", timeRFC3339},
		`"date":1476822578.5`:                                         {"2016-10-18T20:29:38.5Z", timeSeconds},
		`"ts":1476822578`:                                             {"2016-10-18T20:29:38Z", timeSeconds},
		`"_ts":1476822578`:                                            {"2016-10-18T20:29:38Z", timeSeconds},
		`"_ts":1,"ts":1476822571,"date":"x","timestamp":1476822572`:   {"2016-10-18T20:29:32Z", timeSeconds},
		`"time":"noon","timestamp":"2016-10-18T20:29:38Z"`:            {"2016-10-18T20:29:38Z", timeRFC3339},
		`"time":"2016-10-18T20:29:38Z","time":"2017-10-18T20:29:38Z"`: {"2016-10-18T20:29:38Z", timeRFC3339},
		`"time":"noon","time":1476822578,"time":1576822578`:           {"2016-10-18T20:29:38Z", timeSeconds},
		`"time":null,"time":1476822578`:                               {"2016-10-18T20:29:38Z", timeSeconds},
		`"x":1`:                                                       {publish, timeMissing},
		`"time":null`:                                                 {publish, timeMissing},
		`"time":"noon","time":null`:                                   {publish, timeUnusable},
		`"time":""`:                                                   {publish, timeUnusable},
		`"time":true`:                                                 {publish, timeUnusable},
		`"time":{"a":1}`:                                              {publish, timeUnusable},
		`"time":0`:                                                    {publish, timeUnusable},
		`"time":-1476822578`:                                          {publish, timeUnusable},
		`"time":99999999`:                                             {publish, timeUnusable},
		`"time":9223372036854775808`:                                  {publish, timeUnusable},
		`"time":1e400`:                                                {publish, timeUnusable},
		`"time":1476822578.` + strings.Repeat("1", 60):                {publish, timeUnusable},
		`"time":"2016-10-18T2:29:38Z"`:                                {publish, timeUnusable},
		`"time":"2016-02-31T20:29:38Z"`:                               {publish, timeUnusable},
		`"time":"2016-10-18T20:29:38+24:00"`:                          {publish, timeUnusable},
	} {
		d := testDecoder()
		m := &sdk.Message{Published: d.arrival.Add(-time.Second), Payload: []byte(`{"log":"x",` + in + `,"kubernetes":{"labels":{"app":"a"}}}`)}
		got := decodeAll(t, d, m)
		if len(got) != 1 || got[0].reason != "" || got[0].entry.Time.Format(time.RFC3339Nano) != want.time || d.forms.times[want.form] != 1 {
			t.Errorf("%s: got %+v, %v, want %v", in, got, d.forms.times, want)
		}
	}
}

// TestDecodeNames covers the rows "labels" and "pod, host" of the messages that collectors send.
func TestDecodeNames(t *testing.T) {
	want := sdk.Entry{Process: "web", Release: "v2", Pod: "p", Container: "c", Host: "h", Stream: "stdout", Message: "x"}
	for _, kubernetes := range []string{
		`"pod_name":"p","container_name":"c","host":"h","namespace_name":"n","labels":{"app":"foo","type":"web","version":"v2"}`,
		`"pod_name":"p","container_name":"c","pod_node_name":"h","pod_namespace":"n","pod_labels":{"app":"foo","type":"web","version":"v2"},"pod_ip":"10.1.1.1"`,
	} {
		app, e, err := decode(&sdk.Message{Payload: []byte(`{"log":"x","stream":"stdout","kubernetes":{` + kubernetes + `}}`)})
		e.Source, e.Time, e.Published = want.Source, want.Time, want.Published
		if err != nil || app != "foo" || e != want {
			t.Errorf("%s: got %s, %+v, %v", kubernetes, app, e, err)
		}
	}
}

// TestDecodeSeveralRecords covers the row "several records in one message": a bad record does not
// affect the others.
func TestDecodeSeveralRecords(t *testing.T) {
	r := func(text string) string { return string(message(`"log":"`+text+`",`, "", "")) }
	a, b, c := r("a"), r("b"), r("c")
	for in, want := range map[string]string{
		a:                                   "a",
		a + b + c:                           "a b c",
		a + "\n" + b + "\r\n\t " + c + "\n": "a b c",
		"[" + a + "]":                       "a",
		" [ " + a + " ,\n" + b + "," + c + " ] \n":       "a b c",
		"[" + a + ",null,7,[" + b + "],\"x\"," + c + "]": "a malformed malformed malformed malformed c",
		"[" + a + "," + `{"log":"x"}` + "," + c + "]":    "a no_app c",
		"[" + a + "," + b:                      "a b malformed",
		"[" + a + b + "]":                      "a malformed",
		"[" + a + ",]":                         "a malformed",
		"[" + a + "]" + b:                      "a b",
		"[" + a + "]\n[" + b + "]" + c + "[7]": "a b c malformed",
		a + "null" + b:                         "a malformed b",
		a + "," + b:                            "a malformed",
		a + "\n{\"log\":\"cut off\n" + b + "\n" + c: "a malformed b c",
		a + "\n" + b[:20] + "\n{x\n\n" + c:          "a malformed malformed c",
		"{x\n{x\n{x":                                "malformed malformed malformed",
		"[" + a + ",{x\n" + b:                       "a malformed b",
		// A text stays one record, even if part of it is JSON.
		"what\nis\nthis\n" + a:                 "malformed a",
		"12 green bottles":                     "malformed",
		"12 green bottles\n11 green bottles\n": "malformed",
		"7\n8\n9":                              "malformed",
		"12 {green} bottles\n" + a:             "malformed a",
		"12\n{green\n" + a:                     "malformed malformed a",
		"2016-10-18T20:29:38.1Z stdout F 7 [x] {\"a\":1}\n" + a: "malformed a",
		`"quoted" is this`:                         "malformed",
		"null pointer, true story":                 "malformed",
		"1,2,3\n4,5,6\n" + a + "\n7 bottles\n" + b: "malformed a malformed b",
		"[12345] 18 Oct 20:29:38 # started\n" + a:  "malformed a",
		"[18/Oct/2016] \"GET /\"":                  "malformed",
		"[info] started\n" + a:                     "malformed a",
		"[] nothing":                               "malformed",
		"[7,\"x\",null]":                           "malformed malformed malformed",
		"7 " + a + " 8 9 " + b + "\n":              "malformed a malformed b",
	} {
		var got []string
		for _, o := range decodeAll(t, testDecoder(), &sdk.Message{Payload: []byte(in)}) {
			got = append(got, cmp.Or(string(o.reason), o.entry.Message))
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// TestDecodeCountsForms counts records by what they tell of the collector.
func TestDecodeCountsForms(t *testing.T) {
	d := testDecoder()
	for _, members := range []string{`"log":"x",`, `"message":"x",`, `"message":"x","time":1476822578,`, `"msg":"x",`, `"x":"y",`} {
		decodeAll(t, d, &sdk.Message{Payload: message(members, "", "")})
	}
	decodeAll(t, d, &sdk.Message{Payload: []byte(`{"log":"x"}`)}) // has no app
	if d.forms.texts != [textKeys]uint64{1, 2, 1} || d.forms.times[timeMissing] != 3 || d.forms.times[timeSeconds] != 1 {
		t.Errorf("got %+v", d.forms)
	}
}

func TestDecodeControllerText(t *testing.T) {
	for in, want := range map[string]string{
		`INFO [foo]: text\n`:          "INFO text",
		`INFO [foo]:text`:             "INFO text",
		`CRITICAL [foo]:   text   \n`: "CRITICAL text",
		`WARNING [foo]: a\nb\n`:       "WARNING a\nb",
		`DEBUG [foo]:`:                "DEBUG ",
		`ERROR [foo]: x ]: y`:         "ERROR x ]: y",
		`INFO \t  [foo]: x`:           "INFO x",
		`INFO\t[foo]:x`:               "INFO x",
		`WARN [foo]:\ttab\t`:          "WARN \ttab\t", // only spaces are trimmed
	} {
		_, e, err := decode(&sdk.Message{Payload: []byte(`{"log":"` + in + `","kubernetes":{"container_name":"deis-controller"}}`)})
		if err != nil || e.Message != want || e.Source != sdk.SourceController {
			t.Errorf("%s: got %q, %v, want %q", in, e.Message, err, want)
		}
	}
}

func TestDecodeCutsOnARuneBoundary(t *testing.T) {
	for _, tc := range []struct {
		in   string // as in JSON
		size int
		want string
		cut  uint64
	}{
		{`abc`, 3, "abc", 0},
		{`abcd`, 3, "abc", 1},
		{`abc\n`, 3, "abc", 0},
		{`abcd\n`, 3, "abc", 1},
		{`abc\n\n`, 3, "abc", 1},
		{"ab\u00e9", 3, "ab", 2},
		{"ab\u00e9\\n", 3, "ab", 2},
		{`ab\u00e9\n`, 3, "ab", 2},
		{"ab\U0001F600", 5, "ab", 4},
		{`ab\ud83d\ude00`, 5, "ab", 4},
		{"ab\U0001F600", 6, "ab\U0001F600", 0},
		{`ab\ud83d\ude00\u000a`, 6, "ab\U0001F600", 0},
		{"\u00e9", 1, "", 2},
		{"ab\xff\xff", 5, "ab\ufffd", 3},
	} {
		d := testDecoder()
		d.maxLine = tc.size
		e := decodeAll(t, d, &sdk.Message{Payload: []byte(`{"log":"` + tc.in + `","kubernetes":{"labels":{"app":"foo"}}}`)})[0].entry
		if e.Message != tc.want || e.CutBytes != tc.cut {
			t.Errorf("%q to %d: got %q, %d, want %q, %d", tc.in, tc.size, e.Message, e.CutBytes, tc.want, tc.cut)
		}
	}
}

// TestLongLabelsAreCut: only its line can make an entry large, and the line is bounded too.
func TestLongLabelsAreCut(t *testing.T) {
	d := testDecoder()
	for _, long := range []string{strings.Repeat("x", 2_000_000), strings.Repeat("€", 1000), strings.Repeat(`\u20ac`, 1000)} {
		payload := fmt.Sprintf(`{"log":"hi","stream":"%[1]s","kubernetes":{"host":"%[1]s","pod_name":"%[1]s","container_name":"%[1]s","labels":{"app":"a","type":"%[1]s","version":"%[1]s"}}}`, long)
		e := decodeAll(t, d, &sdk.Message{Payload: []byte(payload)})[0].entry
		for _, label := range []string{e.Process, e.Release, e.Pod, e.Container, e.Stream, e.Host} {
			if n := len(label); n > longestLabel || n < longestLabel-2 || !utf8.ValidString(label) || strings.Trim(label, "x€") != "" {
				t.Errorf("%d bytes are kept: %.20q", n, label)
			}
		}
	}
}
