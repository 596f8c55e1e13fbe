package read

import (
	"testing"
	"time"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

func TestAppendText(t *testing.T) {
	at := time.Date(2016, 10, 18, 20, 29, 40, 1000, time.FixedZone("", 2*3600))
	for _, tc := range []struct {
		name string
		e    sdk.Entry
		want string
	}{
		{"app", sdk.Entry{Source: sdk.SourceApp, Process: "web", Release: "v2", Pod: "foo-web-845861952-nzf60", Message: "hi"}, "foo[web.v2.nzf60]: hi\n"},
		{"two dashes", sdk.Entry{Source: sdk.SourceApp, Process: "run", Release: "v2", Pod: "foo-run-ab12c", Message: "hi"}, "foo[run.v2]: hi\n"},
		{"dash at the end", sdk.Entry{Source: sdk.SourceApp, Process: "web", Release: "v2", Pod: "a-b-c-", Message: "hi"}, "foo[web.v2.]: hi\n"},
		{"nothing known", sdk.Entry{Source: sdk.SourceApp}, "foo[.]: \n"},
		{"inner and last newlines", sdk.Entry{Source: sdk.SourceApp, Message: "a\nb\n"}, "foo[.]: a\nb\n\n"},
		{"controller", sdk.Entry{Source: sdk.SourceController, Process: "ignored", Message: "INFO x"}, "deis[controller]: INFO x\n"},
		{"cut", sdk.Entry{Source: sdk.SourceApp, Message: "xx", CutBytes: 9}, "foo[.]: xx [cut: 9 more bytes]\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.e.Time = at
			if got, want := string((&Renderer{App: "foo"}).Append(nil, &tc.e)), "2016-10-18T20:29:40+02:00 "+tc.want; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	other := New(Options{Storage: &storagefake.Storage{}, ControllerName: "drycc"}).Renderer("foo")
	line := other.Append(nil, &sdk.Entry{Time: at, Source: sdk.SourceController, Message: "INFO x"})
	if got := string(line); got != "2016-10-18T20:29:40+02:00 drycc[controller]: INFO x\n" {
		t.Errorf("with another name: %q", got)
	}
	utc := sdk.Entry{Time: time.Unix(0, 0).UTC()}
	if got := string((&Renderer{App: "a"}).Append(nil, &utc)); got != "1970-01-01T00:00:00+00:00 a[.]: \n" {
		t.Errorf("UTC is %q", got)
	}
}
