package v1

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
)

// record holds the fields of a record that these tests check.
type record struct {
	Type, Cursor, Message, Level string
	Context, Apart               bool
	Fields                       json.RawMessage
}

func (r record) String() string {
	text := r.Message
	if r.Context {
		text = "c " + text
	}
	if r.Apart {
		text = "| " + text
	}
	return text
}

// ndjson returns the entries of an answer.
func (r *rig) ndjson(path string) (entries []record) {
	r.Helper()
	a, body := r.ask("GET", path+"&format=ndjson", "")
	if a.StatusCode != http.StatusOK {
		r.Fatalf("%s: %d %s", path, a.StatusCode, body)
	}
	for line := range strings.Lines(body) {
		var one record
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			r.Fatal(err)
		}
		entries = append(entries, one)
	}
	return entries
}

func shown(records []record) string { return strings.Join(texts(records), ",") }

func texts(records []record) (all []string) {
	for _, one := range records {
		all = append(all, one.String())
	}
	return all
}

func TestContext(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(40)...)
	const logs = "/v1/apps/foo/logs?"
	for query, want := range map[string]string{
		"include=line.(5|20)$&context=1":                       "c line 4,line 5,c line 6,| c line 19,INFO line 20,c line 21",
		"include=line.(5|25)$&context=1":                       "c line 4,line 5,c line 6,| c line 24,line 25,c line 26",
		"include=line.(5|25)$&context=1&lines=1":               "c line 24,line 25,c line 26",
		"include=line.(5|25)$&context_before=2":                "c line 3,c line 4,line 5,| c line 23,c line 24,line 25",
		"include=line.(5|25)$&context_after=2&process=web":     "line 5,c line 7,c line 8,| line 25,c line 26,c line 28",
		"include=line.25$&context=2&context_after=0":           "c line 23,c line 24,line 25",
		"include=line.(5|25)$&context=0":                       "line 5,line 25",
		"level=warn&context_before=1&lines=2&exclude=line.35$": "c line 14,line 15,| c line 24,line 25",
	} {
		if got := shown(r.ndjson(logs + query)); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	_, text := r.ask("GET", logs+"include=line.(5|25)$&context_after=1", "")
	if lines := strings.Split(text, "\n"); len(lines) != 6 || lines[2] != "--" || !strings.HasSuffix(lines[3], ": line 25") {
		t.Errorf("%s", text)
	}
	// Page after page, and resumed after each record, each line comes once.
	all := r.ndjson(logs + "include=line.(5|7|25)$&context=2&lines=-1")
	for i, one := range all {
		rest := r.ndjson(logs + "include=line.(5|7|25)$&context=2&lines=-1&after=" + one.Cursor)
		if len(rest) != len(all)-i-1 || len(rest) > 0 && rest[0].Message != all[i+1].Message {
			t.Errorf("behind %s (%s): %s", one, one.Cursor, shown(rest))
		}
	}
	var pages []record
	for cursor := "ffffffffffffffff-0"; ; {
		var page struct {
			Entries []record
			Cursor  string
		}
		_, body := r.ask("GET", logs+"include=line.(5|7|25)$&context=2&lines=1&format=json&after="+cursor, "")
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatal(err)
		}
		if pages = append(pages, page.Entries...); page.Cursor == cursor {
			break
		}
		cursor = page.Cursor
	}
	if got, want := strings.ReplaceAll(shown(pages), "| ", ""), strings.ReplaceAll(shown(all), "| ", ""); got != want {
		t.Errorf("page by page: %s, want %s", got, want)
	}
	for query, want := range map[string]string{
		"context=101": "want a number of lines from 0 to 100", "context_before=-1": "want a number", "context_after=x": "want a number",
		"context=1&context=2": "context is given 2 times", "group=maybe": "want true or false", "fields=" + strings.Repeat("a,", 21): "want at most 20",
	} {
		if a, body := r.ask("GET", logs+query, ""); a.StatusCode != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", query, a.StatusCode, body)
		}
	}
}

// TestContextInTails: the lines around a match come with it, also live. A client that stops after
// any record or heartbeat gets the rest once.
func TestContextInTails(t *testing.T) {
	r := newRig(t)
	entries := numbered(60)
	r.storage.Add("foo", entries[:20]...)
	const query = "include=line.(7|19|33|41|42)$&context=2&format=ndjson"
	want := []string{
		"c line 5", "c line 6", "line 7", "c line 8", "c line 9", "| c line 17", "c line 18", "line 19", "c INFO line 20", "c line 21",
		"| c line 31", "c line 32", "line 33", "c line 34", "c line 35", "| c line 39", "c INFO line 40", "line 41", "line 42", "c line 43", "c line 44",
	}
	stream := r.tail("/v1/apps/foo/tail?" + query)
	var got []record
	for i := 20; len(got) < len(want); {
		one := stream.entry()
		if one.Type == "entry" {
			got = append(got, one)
			continue
		}
		for i < 60 { // until all kept lines have come
			r.storage.Add("foo", entries[i:i+5]...)
			i += 5
		}
	}
	if strings.Join(texts(got), ",") != strings.Join(want, ",") {
		t.Fatalf("%s", shown(got))
	}
	for i, one := range got { // the lines that were followed are kept now, in the same order
		rest := r.ndjson("/v1/apps/foo/logs?lines=-1&" + strings.TrimSuffix(query, "&format=ndjson") + "&after=" + one.Cursor)
		if bare := strings.ReplaceAll(shown(rest), "| ", ""); bare != strings.ReplaceAll(strings.Join(want[i+1:], ","), "| ", "") {
			t.Errorf("behind %s (%s): %s", one, one.Cursor, shown(rest))
		}
	}
}

// entry returns the next line as the record of an entry, or of another type.
func (l *lines) entry() (one record) {
	l.Helper()
	line := l.line()
	if err := json.Unmarshal([]byte(line), &one); err != nil {
		l.Fatalf("%q: %v", line, err)
	}
	return one
}

// traceLines returns the mixed lines of two pods. One has a stack trace, the other a line now and
// then.
func traceLines(from int) (entries []sdk.Entry, trace string) {
	lines := []string{"ERROR cannot sell", "java.lang.RuntimeException: boom", "\tat a.B.c(B.java:1)", "Caused by: java.lang.Error: why", "\t... 12 more", "next"}
	for i, text := range lines {
		for _, l := range []struct{ pod, text string }{{"foo-web-1-aaaa-a", text}, {"foo-web-1-aaaa-b", fmt.Sprint("other ", from+i)}} {
			e := sdk.Entry{Time: epochStart, Published: time.Now().Add(time.Duration(2*i-100) * time.Millisecond), Source: sdk.SourceApp, Pod: l.pod, Stream: "stderr", Message: l.text}
			if i == 0 && l.text == text {
				e.Level = sdk.LevelError
			}
			entries = append(entries, e)
		}
	}
	return entries, strings.Join(lines[:5], "\n")
}

// TestGroup: a stack trace is one whole record, whatever comes between its lines.
func TestGroup(t *testing.T) {
	r := newRig(t)
	entries, trace := traceLines(0)
	for i := range entries {
		entries[i].Published = entries[i].Published.Add(-time.Hour)
	}
	r.storage.Add("foo", entries...)
	const logs = "/v1/apps/foo/logs?group=true"
	all := r.ndjson(logs)
	if len(all) != 8 || !strings.Contains(shown(all), trace) {
		t.Fatalf("%d: %s", len(all), shown(all))
	}
	for query, want := range map[string]string{
		"&include=Caused": trace, "&level=error": trace, "&include=(?s)sell.*why": trace, "&exclude=boom&lines=2": "next,other 5", "&include=boom&context_before=1": "c other 3," + trace,
	} {
		got := shown(r.ndjson(logs + query))
		other := got == strings.ReplaceAll(want, "next,other 5", "other 5,next") || query == "&include=boom&context_before=1" && strings.HasSuffix(got, ","+trace)
		if got != want && !other {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := shown(r.ndjson("/v1/apps/foo/logs?include=Caused")); got != "Caused by: java.lang.Error: why" {
		t.Errorf("without: %s", got)
	}
	if a, _ := r.ask("GET", logs, ""); a.Header.Get("ETag") != "" {
		t.Errorf("an answer of groups, which changes without the log, has an ETag: %s", a.Header.Get("ETag"))
	}
	for i, one := range all { // resumes after each record
		if rest := r.ndjson(logs + "&lines=-1&after=" + one.Cursor); shown(rest) != shown(all[i+1:]) {
			t.Errorf("behind %s (%s):\n%s, want\n%s", one, one.Cursor, shown(rest), shown(all[i+1:]))
		}
	}
	if _, text := r.ask("GET", "/v1/apps/foo/logs?group=true&include=boom", ""); strings.Count(text, "\n") != 5 || !strings.HasPrefix(text, "2026-03-04T05:06:07+02:00 foo[..a]: ERROR cannot sell\n") {
		t.Errorf("%q", text)
	}
}

// TestGroupInTails: a group is sent when the next line begins another group, or soon after its last
// line.
func TestGroupInTails(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", sdk.Entry{Pod: "x", Message: "first", Time: epochStart, Published: time.Now().Add(-time.Hour)})
	stream := r.tail("/v1/apps/foo/tail?group=true&format=ndjson&exclude=other")
	if one := stream.entry(); one.Message != "first" {
		t.Fatalf("%+v", one)
	}
	stream.entry() // the heartbeat after the kept lines
	entries, trace := traceLines(0)
	for i := range entries {
		r.storage.Add("foo", entries[i])
	}
	began := time.Now()
	if one := stream.entry(); one.Message != trace || one.Level != "error" {
		t.Errorf("%+v", one)
	}
	if one := stream.entry(); one.Message != "next" || time.Since(began) > 10*time.Second {
		t.Errorf("%+v after %s", one, time.Since(began))
	}
}

func TestFields(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", sdk.Entry{Time: epochStart, Message: `{"a":1,"b":{"c":"x y"},"d":2}`}, sdk.Entry{Time: epochStart, Message: "plain"})
	got := r.ndjson("/v1/apps/foo/logs?fields=a,b.c")
	if len(got) != 2 || string(got[0].Fields) != `{"a":1,"b.c":"x y"}` || got[0].Message == "" || got[1].Fields != nil {
		t.Errorf("%+v", got)
	}
	if _, text := r.ask("GET", "/v1/apps/foo/logs?fields=a&fields=b.c", ""); !strings.Contains(text, `]: a=1 b.c="x y"`+"\n") || !strings.HasSuffix(text, "]: plain\n") {
		t.Errorf("%q", text)
	}
	if _, text := r.ask("GET", "/v1/apps/foo/logs", ""); !strings.Contains(text, `"d":2}`) {
		t.Errorf("without: %q", text)
	}
}

// TestChoiceIsOfOneApp: an answer that cannot choose lines for one client says so.
func TestChoiceIsOfOneApp(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(3)...)
	for _, name := range excerptNames {
		if a, body := r.ask("POST", "/v1/apps/foo/sessions", `{"filters":{"`+name+`":"1"}}`); a.StatusCode != http.StatusBadRequest || !strings.Contains(body, name+" is for the logs and tails of one app") {
			t.Errorf("%s: %d %s", name, a.StatusCode, body)
		}
		if a, body := r.ask("GET", "/v1/histogram?app=foo&"+name+"=1", ""); a.StatusCode != http.StatusBadRequest || !strings.Contains(body, name+" is for the logs and tails of one app") {
			t.Errorf("%s: %d %s", name, a.StatusCode, body)
		}
	}
}
