package corpus

import "strings"

// Sample holds a message as a collector publishes it. docs/collectors.md has the collector's
// configuration.
type Sample struct {
	// App is the app of the lines, named after the collector.
	App string
	// Form describes the peculiarity of the message.
	Form    string
	Payload string
	// Lines are the texts shown for the message, one for each record.
	Lines []string
	// Reason tells why its only record is rejected; empty if it is stored.
	Reason string
}

// What each collector tells of a pod of the app.
const (
	fluentdPod = `"kubernetes":{"container_name":"APP-web","namespace_name":"APP","pod_name":"APP-web-845861952-nzf60",` +
		`"container_image":"registry.example/APP:git-1","container_image_id":"registry.example/APP@sha256:0f1e","pod_id":"34ebc234-2423-11e6-94aa-42010a800021",` +
		`"pod_ip":"10.1.2.3","host":"node-10ye","labels":{"app":"APP","heritage":"deis","type":"web","version":"v2","pod-template-hash":"845861952"},` +
		`"namespace_labels":{"heritage":"deis","kubernetes_io/metadata_name":"APP"}}`
	fluentBitPod = `"kubernetes":{"pod_name":"APP-web-845861952-nzf60","namespace_name":"APP","pod_id":"34ebc234-2423-11e6-94aa-42010a800021",` +
		`"labels":{"app":"APP","heritage":"deis","pod-template-hash":"845861952","type":"web","version":"v2"},"annotations":{"cni.example/podIP":"10.1.2.3/32"},` +
		`"host":"node-10ye","pod_ip":"10.1.2.3","container_name":"APP-web","docker_id":"6a9069435788a05531ee2b9afbcdc73a22018af595f3203cb67e06f50103bf5f",` +
		`"container_hash":"registry.example/APP@sha256:0f1e","container_image":"registry.example/APP:git-1"}`
	vectorPod = `"kubernetes":{"container_id":"containerd://6a9069435788a05531ee2b9afbcdc73a22018af595f3203cb67e06f50103bf5f",` +
		`"container_image":"registry.example/APP:git-1","container_name":"APP-web","namespace_labels":{"heritage":"deis","kubernetes.io/metadata.name":"APP"},` +
		`"node_labels":{"kubernetes.io/os":"linux"},"pod_ip":"10.1.2.3","pod_ips":["10.1.2.3"],` +
		`"pod_labels":{"app":"APP","heritage":"deis","pod-template-hash":"845861952","type":"web","version":"v2"},"pod_name":"APP-web-845861952-nzf60",` +
		`"pod_namespace":"APP","pod_node_name":"node-10ye","pod_owner":"ReplicaSet/APP-web-845861952","pod_uid":"34ebc234-2423-11e6-94aa-42010a800021"}`
	vectorFile = `"file":"/var/log/pods/APP_APP-web-845861952-nzf60_34ebc234/APP-web/0.log",`
)

// controllerOf turns the description of a pod into that of the controller's pod.
func controllerOf(pod string) string {
	return strings.NewReplacer(`APP-web-845861952-nzf60`, `deis-controller-845861952-nzf60`, `"APP-web"`, `"deis-controller"`,
		`"app":"APP"`, `"app":"deis-controller"`, `"APP"`, `"deis"`).Replace(pod)
}

const (
	prefix = "2016-10-18T20:29:38+00:00 APP[web.v2.nzf60]: "
	bare   = "2016-10-18T20:29:38+00:00 deis[controller]: "
	late   = arrival + " APP[web.v2.nzf60]: "
)

var samples = []Sample{
	{
		App: "fluentd-docker", Form: "deis/fluentd and hephy/fluentd",
		Payload: `{"log":"listening\n","stream":"stdout","docker":{"container_id":"6a906943"},` + fluentdPod + `,"time":"2016-10-18T20:29:38+00:00"}`,
		Lines:   []string{prefix + "listening"},
	},
	{
		App: "fluentd", Form: "containerd, with keep_time_key",
		Payload: `{"stream":"stdout","logtag":"F","message":"listening","time":"2016-10-18T20:29:38.123456789+00:00","docker":{"container_id":"6a906943"},` + fluentdPod + `}`,
		Lines:   []string{prefix + "listening"},
	},
	{
		App: "fluentd", Form: "containerd, without keep_time_key",
		Payload: `{"stream":"stdout","logtag":"F","message":"published just now",` + fluentdPod + `}`,
		Lines:   []string{late + "published just now"},
	},
	{
		App: "fluentd", Form: "containerd, a blank line",
		Payload: `{"stream":"stdout","logtag":"F","message":"","time":"2016-10-18T20:29:38.123456789+00:00",` + fluentdPod + `}`,
		Lines:   []string{prefix},
	},
	{
		App: "fluentd", Form: "the app's JSON, parsed, with a time of fluent-plugin-nsq",
		Payload: `{"stream":"stdout","level":"info","msg":"parsed","_ts":1476822578.5,` + fluentdPod + `}`,
		Lines:   []string{prefix + "parsed"},
	},
	{
		App: "fluentd", Form: "the controller on containerd",
		Payload: `{"stream":"stdout","logtag":"F","message":"INFO [fluentd]: admin deployed 2fd9226","time":"2016-10-18T20:29:38.1+00:00",` + controllerOf(fluentdPod) + `}`,
		Lines:   []string{bare + "INFO admin deployed 2fd9226"},
	},
	{
		App: "fluent-bit", Form: "containerd, json_lines",
		Payload: `{"date":1476822578.123456,"time":"2016-10-18T20:29:38.123456789Z","stream":"stderr","_p":"F","log":"listening",` + fluentBitPod + `}`,
		Lines:   []string{prefix + "listening"},
	},
	{
		App: "fluent-bit", Form: "date alone, as a float",
		Payload: `{"date":1476822578.123456,"stream":"stdout","logtag":"F","message":"a float",` + fluentBitPod + `}`,
		Lines:   []string{prefix + "a float"},
	},
	{
		App: "fluent-bit", Form: "json_date_format epoch",
		Payload: `{"date":1476822578,"stream":"stdout","log":"an epoch\n",` + fluentBitPod + `}`,
		Lines:   []string{prefix + "an epoch"},
	},
	{
		App: "fluent-bit", Form: "json_date_format epoch_ms",
		Payload: `{"date":1476822578123,"stream":"stdout","log":"of milliseconds\n",` + fluentBitPod + `}`,
		Lines:   []string{prefix + "of milliseconds"},
	},
	{
		App: "fluent-bit", Form: "json_date_format java_sql_timestamp",
		Payload: `{"date":"2016-10-18 20:29:38.123456","stream":"stdout","log":"no offset\n",` + fluentBitPod + `}`,
		Lines:   []string{prefix + "no offset"},
	},
	{
		App: "fluent-bit", Form: "Merge_Log of pino's JSON, without Keep_Log",
		Payload: `{"date":1476822578.123456,"stream":"stdout","level":30,"time":1476822578123,"pid":1,"hostname":"nzf60","msg":"pino says",` + fluentBitPod + `}`,
		Lines:   []string{prefix + "pino says"},
	},
	{
		App: "fluent-bit", Form: "Merge_Log, with Keep_Log: what the app wrote",
		Payload: `{"date":1476822578.123456,"stream":"stdout","log":"{\"level\":30,\"msg\":\"kept\"}\n","level":30,"msg":"kept",` + fluentBitPod + `}`,
		Lines:   []string{prefix + `{"level":30,"msg":"kept"}`},
	},
	{
		App: "fluent-bit", Form: "a text that is an object",
		Payload: `{"date":1476822578.123456,"stream":"stdout","log":{"status": 200, "path": "/caf\u00e9"},` + fluentBitPod + `}`,
		Lines:   []string{prefix + `{"status":200,"path":"/café"}`},
	},
	{
		App: "fluent-bit", Form: "format json: an array",
		Payload: `[{"date":1476822578.1,"log":"first of an array",` + fluentBitPod + `},{"date":1476822578.2,"log":"second",` + fluentBitPod + `}]`,
		Lines:   []string{prefix + "first of an array", prefix + "second"},
	},
	{
		App: "fluent-bit", Form: "format json_lines to /pub: one message",
		Payload: `{"date":1476822578.1,"log":"first of two lines",` + fluentBitPod + "}\n" + `{"date":1476822578.2,"log":"second",` + fluentBitPod + "}\n",
		Lines:   []string{prefix + "first of two lines", prefix + "second"},
	},
	{
		App: "fluent-bit", Form: "format json_stream: nothing between",
		Payload: `{"date":1476822578.1,"log":"first of a stream",` + fluentBitPod + "}" + `{"date":1476822578.2,"log":"second",` + fluentBitPod + "}",
		Lines:   []string{prefix + "first of a stream", prefix + "second"},
	},
	{
		App: "fluent-bit", Form: "the controller",
		Payload: `{"date":1476822578.1,"log":"WARNING [fluent-bit]:\ttab and no space\n",` + controllerOf(fluentBitPod) + `}`,
		Lines:   []string{bare + "WARNING \ttab and no space"},
	},
	{
		App: "vector", Form: "kubernetes_logs",
		Payload: `{` + vectorFile + vectorPod + `,"message":"listening","source_type":"kubernetes_logs","stream":"stdout","timestamp":"2016-10-18T20:29:38.123456789Z"}`,
		Lines:   []string{prefix + "listening"},
	},
	{
		App: "vector", Form: "kubernetes_logs, a parsed message",
		Payload: `{` + vectorFile + vectorPod + `,"message":{"level":"info","n":1.0},"source_type":"kubernetes_logs","stream":"stdout","timestamp":"2016-10-18T20:29:38.123456789Z"}`,
		Lines:   []string{prefix + `{"level":"info","n":1.0}`},
	},
	{
		App: "vector", Form: "the controller",
		Payload: `{` + controllerOf(vectorPod) + `,"message":"ERROR  [vector]:  two spaces","stream":"stderr","timestamp":"2016-10-18T20:29:38.123456789Z"}`,
		Lines:   []string{bare + "ERROR two spaces"},
	},
	{
		App: "curl", Form: "the least",
		Payload: `{"log":"by hand","kubernetes":{"labels":{"app":"curl"}}}`,
		Lines:   []string{arrival + " curl[.]: by hand"},
	},
	{
		App: "curl", Form: "with more",
		Payload: `{"message":"by cron","time":"2016-10-18 20:29:38,5+0200","kubernetes":{"pod_name":"backup-1","labels":{"app":"curl","type":"cron","version":"v2"}}}`,
		Lines:   []string{"2016-10-18T20:29:38+02:00 curl[cron.v2]: by cron"},
	},
	{App: "curl", Form: "no text", Payload: `{"text":"x","kubernetes":{"labels":{"app":"curl"}}}`, Reason: "no_log"},
	{App: "curl", Form: "a bad name", Payload: `{"log":"x","kubernetes":{"labels":{"app":"../curl"}}}`, Reason: "bad_app"},
}

// Samples returns messages as collectors publish them.
func Samples() []Sample {
	out := make([]Sample, len(samples))
	for i, s := range samples {
		s.Payload = strings.ReplaceAll(s.Payload, "APP", s.App)
		lines := make([]string, len(s.Lines))
		for j, line := range s.Lines {
			lines[j] = strings.ReplaceAll(line, "APP", s.App)
		}
		s.Lines = lines
		out[i] = s
	}
	return out
}
