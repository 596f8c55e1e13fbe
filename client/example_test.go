package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/deis/logger/client"
)

// logger answers tails as a logger does: first with two lines and a cut connection, and then with
// the rest after the cursor of the second line.
func logger(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	line := func(position int, message string) {
		_, _ = fmt.Fprintf(w, `{"type":"entry","cursor":"4be1c2a09d3f7711-%d","time":"2026-01-02T15:04:05Z","source":"app","message":%q}`+"\n", position, message)
	}
	switch r.FormValue("after") {
	case "":
		line(1, "one")
		line(2, "two")
	case "4be1c2a09d3f7711-2":
		line(3, "three")
		_, _ = fmt.Fprintln(w, `{"type":"end","reason":"until","cursor":"4be1c2a09d3f7711-3"}`)
	}
}

// Follow replaces a lost connection, and continues after the last line that was handled. A program
// that stores the cursor can continue there when it is restarted.
func ExampleClient_Follow() {
	server := httptest.NewServer(http.HandlerFunc(logger))
	defer server.Close()
	c, err := client.New(client.Options{URL: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	stored := "" // the cursor that an earlier run stored, if there was one
	cursor, err := c.Follow(context.Background(), "foo", client.Query{Lines: client.AllLines, After: stored}, client.FollowOptions{
		Handle: func(r client.Record) error {
			if r.Kind == client.KindGap {
				fmt.Println(r.Count, "lines are missing here:", r.Reason)
				return nil
			}
			fmt.Println(r.Message)
			return nil
		},
		Notice: func(e client.Event) {
			if e.Kind == client.EventLost {
				fmt.Println("the connection is made again")
			}
		},
	})
	fmt.Println("go on after", cursor, err)
	// Output:
	// one
	// two
	// the connection is made again
	// three
	// go on after 4be1c2a09d3f7711-3 <nil>
}
