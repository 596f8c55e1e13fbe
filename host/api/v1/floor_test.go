package v1

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// TestSessionFloor: a session of few lines shows no older ones, even if the client claims to resume
// after a cursor.
func TestSessionFloor(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(10)...)
	_, body := r.ask(http.MethodPost, "/v1/apps/foo/sessions", `{"filters":{"lines":2}}`)
	var made struct{ URL string }
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	at := func(epoch, position uint64) string { return sdk.Cursor{Epoch: epoch, Position: position}.String() }
	all := r.tail(made.URL + "?format=text")
	first, second := all.line(), all.line()
	for _, tc := range []struct {
		after string
		want  []string
	}{
		{at(7, 0), []string{first, second}},
		{at(7, 3), []string{first, second}},
		{at(0xdef, 99), []string{first, second}},
		{sdk.Beginning().String(), []string{first, second}},
		{at(7, 9), []string{second}},
	} {
		testwait.Within(t, 20*time.Second, "the follower that left is gone", func() bool { return r.followers() <= 1 })
		l := r.tail(made.URL + "?format=text&after=" + tc.after)
		l.want(tc.want...)
		_ = l.resp.Body.Close()
	}
}

// TestRedactVariants: a token is not logged, however its path is spelt.
func TestRedactVariants(t *testing.T) {
	token, err := newRig(t).api.opts.SessionKey.Sign(access.Session{App: "foo", Expires: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/v1/sessions/T/tail", "/v1//sessions/T/tail", "/V1/Sessions/T/tail", "/v1/./sessions/T", "/v1/sessions//T/tail",
		"/v1/session/T", "/T", "/v1/%73essions/" + token[9:] + "/tail", "/v1/sessions/../T",
	} {
		got := access.RedactPath(strings.ReplaceAll(path, "T", token))
		if strings.Contains(got, token[12:20]) || !strings.Contains(got, "bytes)") {
			t.Errorf("%s: %s", path, got)
		}
	}
	if got := access.RedactPath("/v1/apps/foo/sessions"); got != "/v1/apps/foo/sessions" {
		t.Error(got)
	}
}
