package pipeline

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
)

// TestDecodeOddMessages has messages that no collector should send. Each record becomes a line with
// its text, or is rejected for a reason that tells what to change.
func TestDecodeOddMessages(t *testing.T) {
	const pod = `"kubernetes":{"labels":{"app":"foo"}}}`
	text := func(members string) string { return `{` + members + `,` + pod }
	timed := func(value string) string { return `{"log":"x","time":` + value + `,` + pod }
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, tc := range map[string]struct {
		payload string
		want    string // the result of each record: its text, after the time that it states if any, or a reason
	}{
		"a byte order mark":               {"\xef\xbb\xbf" + text(`"log":"x"`), "x"},
		"a byte order mark inside":        {text(`"log":"x"`) + "\n\xef\xbb\xbf" + text(`"log":"y"`) + "\n" + text(`"log":"z"`), "x|malformed|z"},
		"a byte order mark alone":         {"\xef\xbb\xbf\n", "malformed"},
		"UTF-16":                          {"\xff\xfe{\x00\"\x00l\x00", "malformed"},
		"NUL":                             {"\x00", "malformed"},
		"NUL behind a record":             {text(`"log":"x"`) + "\x00", "x|malformed"},
		"NUL in a text":                   {text(`"log":"a\u0000b"`), "a\x00b"},
		"CRLF between records":            {text(`"log":"a"`) + "\r\n" + text(`"log":"b"`) + "\r\n", "a|b"},
		"CRLF in the text":                {text(`"log":"a\r\n"`), "a\r"},
		"CR alone":                        {"\r", "malformed"},
		"a form feed":                     {"\f" + text(`"log":"x"`), "malformed"},
		"an empty object":                 {`{}`, "no_app"},
		"empty objects":                   {`{}{}` + "\n" + `[{},{}]`, "no_app|no_app|no_app|no_app"},
		"nested arrays":                   {`[[` + text(`"log":"x"`) + `]]`, "malformed"},
		"an array in a record's place":    {text(`"log":"a"`) + `[[1],[2]]` + text(`"log":"b"`), "a|malformed|malformed|b"},
		"a string that is a record":       {`"{\"log\":\"x\"}"`, "malformed"},
		"a function's answer":             {`callback(` + text(`"log":"x"`) + `);`, "malformed"},
		"single quotes":                   {`{'log':'x'}`, "malformed"},
		"a comment":                       {"// x\n" + text(`"log":"x"`), "malformed|x"},
		"a form":                          {"log=x&app=foo", "malformed"},
		"logfmt":                          {`time=2016-10-18T20:29:38Z level=info msg="x"`, "malformed"},
		"XML":                             {`<log app="foo">x</log>`, "malformed"},
		"a syslog frame before a record":  {`64 ` + text(`"log":"x"`), "malformed|x"},
		"CSV":                             {"2016-10-18,20:29:38,x\n2016-10-18,20:29:39,y", "malformed"},
		"keys with dots":                  {`{"log":"x","kubernetes.labels.app":"foo"}`, "no_app"},
		"labels with dots":                {`{"log":"x","kubernetes":{"labels.app":"foo"}}`, "no_app"},
		"the app at the top":              {`{"log":"x","app":"foo"}`, "no_app"},
		"kubernetes is an array":          {`{"log":"x","kubernetes":[{"labels":{"app":"foo"}}]}`, "no_app"},
		"labels are an array":             {`{"log":"x","kubernetes":{"labels":["app=foo"]}}`, "no_app"},
		"the app is true":                 {`{"log":"x","kubernetes":{"labels":{"app":true}}}`, "no_app"},
		"the app is null":                 {`{"log":"x","kubernetes":{"labels":{"app":null}}}`, "no_app"},
		"the app is an object":            {`{"log":"x","kubernetes":{"labels":{"app":{"name":"foo"}}}}`, "no_app"},
		"the app is blank":                {`{"log":"x","kubernetes":{"labels":{"app":" "}}}`, "bad_app"},
		"the app is dots":                 {`{"log":"x","kubernetes":{"labels":{"app":".."}}}`, "bad_app"},
		"the app is a surrogate":          {`{"log":"x","kubernetes":{"labels":{"app":"\ud800"}}}`, "bad_app"},
		"the app has a NUL":               {`{"log":"x","kubernetes":{"labels":{"app":"foo\u0000"}}}`, "bad_app"},
		"the app comes twice":             {`{"log":"x","kubernetes":{"labels":{"app":"bar","app":"foo"}}}`, "x"},
		"the app comes twice, once wrong": {`{"log":"x","kubernetes":{"labels":{"app":"foo","app":1}}}`, "no_app"},
		"kubernetes comes twice":          {`{"kubernetes":{"labels":{"app":"foo"}},"log":"x","kubernetes":{"pod_name":"p"}}`, "x"},
		"texts that come twice":           {text(`"log":"a","log":"","log":null,"log":"\n"`), "a"},
		"a text that is a lone surrogate": {text(`"log":"\udc00"`), "\ufffd"},
		"a text that is no UTF-8":         {text("\"log\":\"\xff\xfe\""), "\ufffd\ufffd"},
		"a text of blanks":                {text(`"log":"  \t"`), "  \t"},
		"a text of 1 MiB":                 {text(`"log":"` + strings.Repeat("y", 1<<20) + `\n"`), strings.Repeat("y", 64)},
		"a text 64 levels deep":           {text(`"log":` + nested(64)), nested(64)[:64]},
		"10,001 levels deep":              {text(`"x":`+nested(10_000)+`,"log":"x"`) + "\n" + text(`"log":"y"`), "malformed|y"},
		"a huge number as the text":       {text(`"log":1e999999`), "1e999999"},
		"text under a member of a text":   {text(`"message":null,"event":{"message":"x"}`), "no_log"},
		"a huge time":                     {timed(strings.Repeat("9", 400)), "x"},
		"a time beyond all":               {timed("1e308"), "x"},
		"a negative time":                 {timed("-1476822578"), "x"},
		"a tiny time":                     {timed("1e-300"), "x"},
		"no number's time":                {timed("NaN"), "malformed"},
		"a number in quotes":              {timed(`"1476822578.5"`), "x"},
		"Go's zero time":                  {timed(`"0001-01-01T00:00:00Z"`), "0001-01-01T00:00:00Z x"},
		"the year zero":                   {timed(`"0000-01-01T00:00:00Z"`), "0000-01-01T00:00:00Z x"},
		"the last second":                 {timed(`"9999-12-31T23:59:59.999999999-23:59"`), "9999-12-31T23:59:59-23:59 x"},
		"a year of five digits":           {timed(`"10000-01-01T00:00:00Z"`), "x"},
		"a time that is text":             {timed(`"Tue Oct 18 20:29:38 2016"`), "x"},
		"a time in an array":              {timed(`["2016-10-18T20:29:38Z"]`), "x"},
		"a time with a NUL":               {timed(`"2016-10-18T20:29:38Z\u0000"`), "x"},
		"a time of 1 MiB":                 {timed(`"` + strings.Repeat("2", 1<<20) + `"`), "x"},
	} {
		t.Run(name, func(t *testing.T) {
			d := testDecoder()
			published := d.arrival.Add(-time.Second)
			var got []string
			for _, o := range decodeAll(t, d, &sdk.Message{Published: published, Payload: []byte(tc.payload)}) {
				if o.reason == "" && o.app != "foo" {
					t.Errorf("it is of %q", o.app)
				}
				line := o.entry.Message
				if !o.entry.Time.Equal(published) {
					line = o.entry.Time.Format(time.RFC3339) + " " + line
				}
				got = append(got, cmp.Or(string(o.reason), line))
			}
			if got := strings.Join(got, "|"); got != tc.want {
				t.Errorf("got %q, want %q", fmt.Sprintf("%.200s", got), tc.want)
			}
			checkAgainstOracle(t, testDecoder(), []byte(tc.payload))
		})
	}
}
