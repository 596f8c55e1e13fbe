package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/deis/logger/sdk"
)

func testDecoder() *decoder {
	return &decoder{maxLine: 64, containers: new(containers), arrival: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))}
}

// decode is what a new decoder makes of a message.
func decode(m *sdk.Message) (app string, e sdk.Entry, err error) {
	app, err = testDecoder().decode(m, &e)
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

func TestDecodeTakesOnlyItsOwnNames(t *testing.T) {
	_, e, err := decode(&sdk.Message{Payload: []byte(
		`{"log":"real","Log":"fake","LOG":{"a":1},"Time":1700000000,"STREAM":7,"kubernetes":{"labels":{"app":"foo","App":"bar"}},"Kubernetes":[]}`)})
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
	}{
		"empty":                  {"", Malformed},
		"text":                   {"not json", Malformed},
		"null":                   {" null", Malformed},
		"array":                  {"[{}]", Malformed},
		"string":                 {`"x"`, Malformed},
		"cut off":                {app("")[:20], Malformed},
		"trailing":               {app("") + "x", Malformed},
		"log is a number":        {app(`"log":1,`), Malformed},
		"control character":      {app("\"log\":\"a\nb\","), Malformed},
		"labels is a string":     {`{"kubernetes":{"labels":"x"}}`, Malformed},
		"time is a number":       {app(`"time":1476822578,`), BadTime},
		"time is a word":         {app(`"time":"yesterday",`), BadTime},
		"time is empty":          {app(`"time":"",`), BadTime},
		"time without offset":    {app(`"time":"2016-10-18T20:29:38",`), BadTime},
		"time of one digit":      {app(`"time":"2016-10-18T2:29:38Z",`), BadTime},
		"time with a comma":      {app(`"time":"2016-10-18T20:29:38,5Z",`), BadTime},
		"the 31st of February":   {app(`"time":"2016-02-31T20:29:38Z",`), BadTime},
		"offset of a day":        {app(`"time":"2016-10-18T20:29:38+24:00",`), BadTime},
		"no kubernetes":          {`{"log":"x"}`, NoApp},
		"no labels":              {`{"kubernetes":{}}`, NoApp},
		"labels is null":         {`{"kubernetes":{"labels":null}}`, NoApp},
		"empty app":              {`{"kubernetes":{"labels":{"app":""}}}`, NoApp},
		"app is a path":          {`{"kubernetes":{"labels":{"app":"../x"}}}`, BadApp},
		"app with a newline":     {`{"kubernetes":{"labels":{"app":"x\n"}}}`, BadApp},
		"controller: no app":     {controller("INFO: x"), BadControllerLine},
		"controller: empty app":  {controller("INFO []: x"), BadControllerLine},
		"controller: bad app":    {controller("INFO [a b]: x"), BadControllerLine},
		"controller: no colon":   {controller("INFO [foo] x"), BadControllerLine},
		"controller: level":      {controller("NOTICE [foo]: x"), BadControllerLine},
		"controller: lower case": {controller("info [foo]: x"), BadControllerLine},
		"controller: nothing":    {controller(""), BadControllerLine},
		"controller: level only": {controller("INFO "), BadControllerLine},
		"controller: unclosed":   {controller("INFO [foo"), BadControllerLine},
		"controller: access log": {controller("10.0.0.1 GET /"), BadControllerLine},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decode(&sdk.Message{Payload: []byte(tc.payload)})
			if r := (*rejection)(nil); !errors.As(err, &r) || r.reason != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestDecodeTimes(t *testing.T) {
	for in, want := range map[string]string{
		`"time":"2016-10-18T20:29:38Z",`:                "2016-10-18T20:29:38Z",
		`"time":"2016-10-18t20:29:38z",`:                "2016-10-18T20:29:38Z",
		`"time":"2016-12-31T23:59:60Z",`:                "2016-12-31T23:59:59Z",
		`"time":"2016-10-18T20:29:38.999999999-11:30",`: "2016-10-18T20:29:38.999999999-11:30",
		`"time":"0001-01-01T00:00:00Z",`:                "0001-01-01T00:00:00Z",
		`"time":"9999-12-31T23:59:59+14:00",`:           "9999-12-31T23:59:59+14:00",
		`"time":null,`:                                  "2026-01-02T02:04:05Z", // the arrival
		``:                                              "2026-01-02T02:04:05Z",
	} {
		_, e, err := decode(&sdk.Message{Payload: []byte(`{` + in + `"kubernetes":{"labels":{"app":"a"}}}`)})
		if got := e.Time.Format(time.RFC3339Nano); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
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
		`WARN [foo]:\ttab\t`:          "WARN \ttab\t", // spaces alone are trimmed
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
		d := &decoder{maxLine: tc.size, arrival: time.Now()}
		var e sdk.Entry
		_, err := d.decode(&sdk.Message{Payload: []byte(`{"log":"` + tc.in + `","kubernetes":{"labels":{"app":"foo"}}}`)}, &e)
		if err != nil || e.Message != tc.want || e.CutBytes != tc.cut {
			t.Errorf("%q to %d: got %q, %d, %v, want %q, %d", tc.in, tc.size, e.Message, e.CutBytes, err, tc.want, tc.cut)
		}
	}
}

// TestLongLabelsAreCut: a message cannot make an entry large by anything but its line,
// and that is bounded too.
func TestLongLabelsAreCut(t *testing.T) {
	d := testDecoder()
	for _, long := range []string{strings.Repeat("x", 2_000_000), strings.Repeat("€", 1000), strings.Repeat(`\u20ac`, 1000)} {
		payload := fmt.Sprintf(`{"log":"hi","stream":"%[1]s","kubernetes":{"host":"%[1]s","pod_name":"%[1]s","container_name":"%[1]s","labels":{"app":"a","type":"%[1]s","version":"%[1]s"}}}`, long)
		var e sdk.Entry
		if _, err := d.decode(&sdk.Message{Payload: []byte(payload)}, &e); err != nil {
			t.Fatal(err)
		}
		for _, label := range []string{e.Process, e.Release, e.Pod, e.Container, e.Stream, e.Host} {
			if n := len(label); n > longestLabel || n < longestLabel-2 || !utf8.ValidString(label) || strings.Trim(label, "x€") != "" {
				t.Errorf("%d bytes are kept: %.20q", n, label)
			}
		}
	}
}
