package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestParse reads the forms of RFC 5424 and RFC 3164, and what merely looks like them.
func TestParse(t *testing.T) {
	for name, tt := range map[string]struct {
		message        string
		log, time      string
		host, app, typ string
	}{
		"5424":                      {`<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog 42 ID47 - An event`, "An event", "2003-10-11T22:14:15.003Z", "mymachine.example.com", "evntslog", "42"},
		"5424, nothing but a text":  {`<14>1 - - - - - - hello`, "hello", "", "", "syslog", ""},
		"5424, no text":             {`<14>1 - - a - - -`, "", "", "", "a", ""},
		"5424, an empty text":       {`<14>1 - - a - - - `, "", "", "", "a", ""},
		"5424, data":                {`<14>1 - h a - - [x@1 a="b"][y@1 c="\"] \\ " d=""] hello [world]`, "hello [world]", "", "h", "a", ""},
		"5424, data and no text":    {`<14>1 - h a - - [x@1]`, "", "", "h", "a", ""},
		"5424, a byte order mark":   {"<14>1 - - a - - - \ufeffhéllo", "héllo", "", "", "a", ""},
		"5424, spaces in the text":  {"<14>1 - - a - - -  two \n", " two \n", "", "", "a", ""},
		"5424, data that never end": {`<14>1 - h a - - [x@1 a="b] hello`, `1 - h a - - [x@1 a="b] hello`, "", "", "syslog", ""},
		"5424, no data":             {`<14>1 - h a - - hello: x`, `1 - h a - - hello: x`, "", "", "syslog", ""},
		"3164":                      {`<34>Oct 11 22:14:15 mymachine su[77]: 'su root' failed`, "'su root' failed", "", "mymachine", "su", "77"},
		"3164, a day of one digit":  {`<34>Oct  1 22:14:15 mymachine su: x`, "x", "", "mymachine", "su", ""},
		"3164, no host":             {`<34>Oct 11 22:14:15 su[77]: x: y`, "x: y", "", "", "su", "77"},
		"3164, no tag":              {`<34>Oct 11 22:14:15 mymachine it is late`, "mymachine it is late", "", "", "syslog", ""},
		"3164, a time of RFC 3339":  {`<34>2003-10-11T22:14:15+02:00 h postfix/smtpd[5]: x`, "x", "2003-10-11T22:14:15+02:00", "h", "postfix-smtpd", "5"},
		"3164, a tag alone":         {`<34>su: x`, "x", "", "", "su", ""},
		"3164, JSON":                {`<34>{"a": 1}`, `{"a": 1}`, "", "", "syslog", ""},
		"a priority alone":          {`<34>`, "", "", "", "syslog", ""},
		"no priority":               {`hello: world`, "hello: world", "", "", "syslog", ""},
		"a priority too high":       {`<192>su: x`, "<192>su: x", "", "", "syslog", ""},
		"a priority that is none":   {`<a>su: x`, "<a>su: x", "", "", "syslog", ""},
		"an app of no letters":      {`<14>1 - - ÄÖ - - - x`, "x", "", "", "syslog", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got record
			if err := json.Unmarshal(toRecord([]byte(tt.message), "syslog"), &got); err != nil {
				t.Fatal(err)
			}
			want := record{Log: tt.log, Time: tt.time, Kubernetes: kubernetes{Host: tt.host, Labels: labels{App: tt.app, Type: tt.typ}}}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// FuzzParse expects a record of any bytes, whose text is the end of the message.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`<165>1 2003-10-11T22:14:15.003Z h evntslog 42 ID47 [x@1 a="\""] An event`))
	f.Add([]byte(`<34>Oct 11 22:14:15 mymachine su[77]: 'su root' failed`))
	f.Fuzz(func(t *testing.T, message []byte) {
		var r record
		if err := json.Unmarshal(toRecord(message, "syslog"), &r); err != nil {
			t.Fatal(err)
		}
		if utf8.Valid(message) && !strings.HasSuffix(string(message), r.Log) {
			t.Errorf("the text of %q is %q", message, r.Log)
		}
		if name := r.Kubernetes.Labels.App; name == "" || appName(name) != name {
			t.Errorf("the app of %q is %q", message, name)
		}
	})
}
