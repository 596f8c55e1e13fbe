package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/deis/logger/host"
)

func TestHowToNamesTheStorage(t *testing.T) {
	for _, storage := range []string{"memory", "redis", "sqlite"} {
		var out bytes.Buffer
		printHowTo(&out, host.Options{StorageAdapter: storage, AggregatorType: "nsq"}, "http://127.0.0.1:4151/pub?topic=t", "http://127.0.0.1:8088")
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

// TestHowToOfAnotherTransport: an aggregator that is not nsq takes nothing from the queue, so no
// command publishes there.
func TestHowToOfAnotherTransport(t *testing.T) {
	var out bytes.Buffer
	printHowTo(&out, host.Options{StorageAdapter: "memory", AggregatorType: "syslog"}, "http://127.0.0.1:4151/pub?topic=t", "http://127.0.0.1:8088")
	for _, want := range []string{
		"with the aggregator syslog, the storage memory and", "by the transport of syslog; the aggregator delivers it in this form:\n  {\"log\":\"hello, world\\n\",",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "/pub") || strings.Contains(out.String(), "queue") {
		t.Errorf("it names the queue:\n%s", &out)
	}
}

// TestHowToHasThePage: the page's address is printed only if there is a page.
func TestHowToHasThePage(t *testing.T) {
	for _, ui := range []bool{true, false} {
		var out bytes.Buffer
		printHowTo(&out, host.Options{UI: ui}, "http://127.0.0.1:4151/pub", "http://127.0.0.1:8088")
		if got := strings.Contains(out.String(), "\n  http://127.0.0.1:8088/\n"); got != ui {
			t.Errorf("with a page %t, its address is printed %t:\n%s", ui, got, &out)
		}
	}
}
