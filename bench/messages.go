package main

import (
	"fmt"
	"strings"
	"time"
)

const (
	// apps and lineBytes describe the messages unless a measurement says otherwise.
	apps      = 50
	lineBytes = 200
	// controllerEvery is the number of messages of which one is a line of the controller.
	controllerEvery = 100
	// keptLines is the number of lines that the logger keeps of each app by default.
	keptLines = 1000
)

// workload describes the messages of a filled topic.
type workload struct {
	apps, lineBytes, messages int
	// now is set if the messages state the time at which they are made, instead of times that count
	// from epoch.
	now bool
}

func appName(i int) string { return fmt.Sprintf("lantern-field-%d", i) }

// message returns the i-th message of the workload, as fluentd publishes it. The apps take turns,
// and now and then there is a line of the controller about one of them.
func (w workload) message(i int) []byte {
	app, at := appName(i%w.apps), messageTime(i)
	if w.now {
		at = time.Now().UTC()
	}
	if i%controllerEvery == controllerEvery-1 {
		return controllerMessage(app, at, text(i, w.lineBytes))
	}
	return appMessageAt(app, at, text(i, w.lineBytes))
}

// text returns a line of exactly size bytes, which looks like that of an access log.
func text(i, size int) string {
	const agent = ` HTTP/1.1 200 5120 Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) `
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "10.164.1.%d - GET /items/%d", i%256, i)
	for b.Len() < size {
		b.WriteString(agent)
	}
	return b.String()[:size]
}

const (
	containerID = "6a9069435788a05531ee2b9afbcdc73a22018af595f3203cb67e06f50103bf5f"
	podID       = "34ebc234-2423-11e6-94aa-42010a800021"
	nodeName    = "ip-10-164-1-17.eu-central-1.compute.internal"
)

// epoch is the time of the first message.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func messageTime(i int) time.Time { return epoch.Add(time.Duration(i) * 1001 * time.Microsecond) }

const timeLayout = "2006-01-02T15:04:05.000000-07:00"

func appMessage(app string, i int, line string) []byte {
	return appMessageAt(app, messageTime(i), line)
}

func appMessageAt(app string, at time.Time, line string) []byte {
	return fmt.Appendf(nil, `{"log": "%[2]s\n", "stream": "stdout", "docker": {"container_id": "%[3]s"}, `+
		`"kubernetes": {"namespace_name": "%[1]s", "pod_id": "%[4]s", "pod_name": "%[1]s-web-845861952-nzf60", `+
		`"container_name": "%[1]s-web", "labels": {"app": "%[1]s", "heritage": "deis", "type": "web", "version": "v2"}, `+
		`"host": "%[6]s"}, "time": "%[5]s"}`, app, line, containerID, podID, at.Format(timeLayout), nodeName)
}

func controllerMessage(app string, at time.Time, line string) []byte {
	return fmt.Appendf(nil, `{"log": "INFO [%[1]s]: %[2]s\n", "stream": "stdout", "docker": {"container_id": "%[3]s"}, `+
		`"kubernetes": {"namespace_name": "deis", "pod_id": "%[4]s", "pod_name": "deis-controller-2112536422-8h3vx", `+
		`"container_name": "deis-controller", "labels": {"app": "deis-controller", "heritage": "deis"}, `+
		`"host": "%[6]s"}, "time": "%[5]s"}`, app, line, containerID, podID, at.Format(timeLayout), nodeName)
}
