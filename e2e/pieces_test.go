package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
)

// TestPiecesOverV1: long lines that come in containerd's pieces, between those of another pod, are
// whole in /v1's logs. They are whole on each page, through filters, and in a tail that is cut
// after each record and resumed.
func TestPiecesOverV1(t *testing.T) {
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t), map[string]string{"LOGGER_MAX_LINE_BYTES": "256KiB"})
			const piece, pieces = 16 << 10, 5
			var want, needles []string
			publish := func(first, last int) {
				for n := first; n <= last; n++ {
					// A cut between two pieces splits the needle.
					text := strings.Repeat(fmt.Sprintf("%08d", n), piece*pieces/8)
					if n%2 == 0 {
						text = text[:piece-3] + "needle" + text[piece+3:]
						needles = append(needles, text)
					}
					for i := range pieces {
						tag := map[bool]string{true: "F", false: "P"}[i == pieces-1]
						short := fmt.Sprintf("%d beside piece %d", n, i)
						for _, m := range []struct{ pod, text, tag string }{{"long", text[i*piece : (i+1)*piece], tag}, {"short", short, "F"}} {
							queue.Publish("logs", fmt.Appendf(nil,
								`{"message":%q,"logtag":%q,"stream":"stdout","kubernetes":{"pod_name":"foo-web-1-%s","container_name":"foo-web","labels":{"app":"foo"}}}`, m.text, m.tag, m.pod))
						}
						if want = append(want, short); i == pieces-1 {
							want = slices.Insert(want, len(want)-1, text)
						}
					}
				}
			}
			publish(1, 6)
			l.Settled(6 * 2 * pieces)
			page := func(query string) (texts []string, cursor string) {
				_, _, body := l.Do(http.MethodGet, "/v1/apps/foo/logs?format=json&"+query)
				var answer struct {
					Entries []struct {
						Message string
						Partial bool
					}
					Cursor string
				}
				if err := json.Unmarshal(body, &answer); err != nil {
					t.Fatalf("%.300q: %v", body, err)
				}
				for _, e := range answer.Entries {
					if texts = append(texts, e.Message); e.Partial {
						t.Errorf("%s: a piece %.60q", query, e.Message)
					}
				}
				return texts, answer.Cursor
			}
			if got, _ := page("lines=-1"); !slices.Equal(got, want) {
				t.Errorf("%d lines, want %d: %s", len(got), len(want), brief(got))
			}
			if got, _ := page("lines=2&include=0needle0"); !slices.Equal(got, needles[len(needles)-2:]) {
				t.Errorf("through a filter: %s", brief(got))
			}
			var paged []string
			for cursor := "ffffffffffffffff-0"; ; {
				texts, next := page("lines=3&after=" + cursor)
				if paged = append(paged, texts...); len(texts) == 0 {
					break
				}
				cursor = next
			}
			if !slices.Equal(paged, want) {
				t.Errorf("in pages: %d lines, want %d: %s", len(paged), len(want), brief(paged))
			}
			var tailed []string
			cursor := ""
			var publishing sync.WaitGroup
			for len(tailed) < 9*(pieces+1) { // the last lines are published while the tail runs
				if len(tailed) == 6*(pieces+1) {
					publishing.Go(func() { publish(7, 9) })
				}
				text, at := tailOne(t, l, "", cursor)
				tailed, cursor = append(tailed, text), at
			}
			publishing.Wait()
			if !slices.Equal(tailed, want) {
				t.Errorf("tailed: %d lines, want %d: %s", len(tailed), len(want), brief(tailed))
			}
		})
	}
}

// tailOne follows the app, from the cursor on, until it has one line. The query is empty or ends in
// an ampersand.
func tailOne(t *testing.T, l *harness.Logger, query, cursor string) (text, next string) {
	t.Helper()
	url := l.URL + "/v1/apps/foo/tail?" + query + "format=ndjson&lines=-1"
	if cursor != "" {
		url += "&after=" + cursor
	}
	client := &http.Client{Timeout: 60 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for in := bufio.NewReader(resp.Body); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var record struct{ Type, Message, Cursor string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		switch record.Type {
		case "entry":
			return record.Message, record.Cursor
		case "end":
			t.Fatalf("the tail ended: %s", line)
		}
	}
}

// brief returns the lines, with long ones abridged.
func brief(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		_, _ = fmt.Fprintf(&b, "%.24q (%d bytes) ", line, len(line))
	}
	return b.String()
}
