package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestHowToNamesTheStorage(t *testing.T) {
	for _, storage := range []string{"memory", "redis", "sqlite"} {
		var out bytes.Buffer
		printHowTo(&out, storage, "http://127.0.0.1:4151/pub?topic=t", "http://127.0.0.1:8088")
		for _, want := range []string{
			"with a queue of its own, the storage " + storage + " and real plugin processes.\n",
			" 'http://127.0.0.1:4151/pub?topic=t'\n", "'http://127.0.0.1:8088/logs/hello?log_lines=10'\n",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in:\n%s", want, &out)
			}
		}
	}
}
