package e2e

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
)

var formsTable = flag.String("forms-table", "", "where TestForms writes its table in Markdown")

// form holds a message as a collector may send it, and the lines that it should become.
type form struct {
	part  string // the part of the record that it is about
	input string // APP stands for the app's name, which is different in each form; a record has one kubernetes object
	want  string // the lines of GET /logs/APP; NOW stands for the time of publishing
	// reason says why the record is rejected. It is empty for a record that is accepted.
	reason string
}

const (
	formPod = `"kubernetes":{"labels":{"app":"APP"}}}`
	formAt  = "2016-10-18T20:29:38+00:00 APP[.]: "
)

// formPiece replaces PIECE: a piece of a line as Docker cuts it.
var formPiece = strings.Repeat("x", 16<<10)

// formSettings holds the logger's settings for forms.
var formSettings = map[string]string{
	"LOGGER_LABEL_SELECTOR": "tier!=infra,!example.com/private", "LOGGER_NAMESPACES_EXCLUDE": "kube-system", "LOGGER_CONTROLLER_NAMESPACE": "deis",
}

// forms returns the forms of the specification, sorted by the part of the record.
func forms() []form {
	controller := func(text string) string {
		return `{"log":"` + text + `","time":1476822578,"kubernetes":{"namespace_name":"deis","container_name":"deis-controller","labels":{}}}`
	}
	all := []form{
		{"text", `{"log":"a","message":"b","msg":"c","time":1476822578,` + formPod, formAt + "a\n", ""},
		{"text", `{"message":"b","msg":"c","time":1476822578,` + formPod, formAt + "b\n", ""},
		{"text", `{"log":null,"msg":"c","time":1476822578,` + formPod, formAt + "c\n", ""},
		{"text", `{"log":{"a": [1, 2.0]},"time":1476822578,` + formPod, formAt + `{"a":[1,2.0]}` + "\n", ""},
		{"text", `{"log":[1, "x"],"time":1476822578,` + formPod, formAt + `[1,"x"]` + "\n", ""},
		{"text", `{"log":1.50,"time":1476822578,` + formPod, formAt + "1.50\n", ""},
		{"text", `{"log":true,"time":1476822578,` + formPod, formAt + "true\n", ""},
		{"text", `{"log":"","time":1476822578,` + formPod, formAt + "\n", ""},
		{"text", `{"text":"a","time":1476822578,` + formPod, "", "no_log"},
		{"several", `[{"log":"a","time":1476822578,` + formPod + `,{"log":"b","time":1476822578,` + formPod + `]`, formAt + "a\n" + formAt + "b\n", ""},
		{"several", `{"log":"a","time":1476822578,` + formPod + "\n" + `{"log":"b","time":1476822578,` + formPod, formAt + "a\n" + formAt + "b\n", ""},
		{"several", `{"log":"a","time":1476822578,` + formPod + `{"log":"b","time":1476822578,` + formPod, formAt + "a\n" + formAt + "b\n", ""},
		{"several", `[7,{"log":"b","time":1476822578,` + formPod + `]`, formAt + "b\n", "malformed"},
		{"labels", `{"log":"a","time":1476822578,"kubernetes":{"pod_labels":{"app":"APP","type":"web","version":"v2"}}}`, "2016-10-18T20:29:38+00:00 APP[web.v2]: a\n", ""},
		{"several", `[{"log":"a","time":1476822578,` + formPod + `]` + "\n" + `[{"log":"b","time":1476822578,` + formPod + `]`, formAt + "a\n" + formAt + "b\n", ""},
		{"several", "12 green bottles\n" + `{"log":"b","time":1476822578,` + formPod, formAt + "b\n", "malformed"},
		{"several", `{"log":"a` + "\n" + `{"log":"b","time":1476822578,` + formPod, formAt + "b\n", "malformed"},
		{"labels", `{"log":"a","time":1476822578,"kubernetes":{"labels":{}}}`, "", "no_app"},
		{"labels", `{"log":"a","time":1476822578,"kubernetes":{"labels":{"app":"a/b"}}}`, "", "bad_app"},
		{"pod", `{"log":"a","time":1476822578,"kubernetes":{"pod_name":"APP-web-1-x","host":"n","namespace_name":"APP","labels":{"app":"APP"}}}`, "2016-10-18T20:29:38+00:00 APP[..x]: a\n", ""},
		{"pod", `{"log":"a","time":1476822578,"kubernetes":{"pod_name":"APP-web-1-x","pod_node_name":"n","pod_namespace":"APP","pod_labels":{"app":"APP"}}}`, "2016-10-18T20:29:38+00:00 APP[..x]: a\n", ""},
		{"which pods", `{"log":"a","time":1476822578,"kubernetes":{"labels":{"app":"APP","tier":"infra"}}}`, "", "not_selected"},
		{"which pods", `{"log":"a","time":1476822578,"kubernetes":{"namespace_name":"kube-system","labels":{"app":"APP"}}}`, "", "not_selected"},
		{"which pods", `{"log":"a","time":1476822578,"kubernetes":{"pod_namespace":"kube-system","pod_labels":{"app":"APP"}}}`, "", "not_selected"},
		{"which pods", `{"log":"a","time":1476822578,"kubernetes":{"labels":{"app":"APP","example.com/private":"yes"}}}`, "", "not_selected"},
		{"which pods", `{"log":"a","time":1476822578,"kubernetes":{"labels":{"app":"APP","example_com/private":"yes"}}}`, "", "not_selected"},
		{"controller", controller(`INFO [APP]: a`), "2016-10-18T20:29:38+00:00 deis[controller]: INFO a\n", ""},
		{"controller", controller(`INFO \t [APP]:a`), "2016-10-18T20:29:38+00:00 deis[controller]: INFO a\n", ""},
		{"controller", controller(`"GET / HTTP/1.1" 200`), "", "bad_controller_line"},
		{
			"controller", `{"log":"INFO [victim]: a","time":1476822578,"kubernetes":{"namespace_name":"evil","container_name":"x-deis-controller","labels":{"app":"APP"}}}`,
			formAt + "INFO [victim]: a\n", "",
		},
	}
	all[len(all)-2].input = strings.ReplaceAll(all[len(all)-2].input, `"GET / HTTP/1.1"`, `\"GET / HTTP/1.1\"`)
	for _, key := range []string{"time", "timestamp", "@timestamp", "date", "ts", "_ts"} {
		all = append(all, form{"time", `{"log":"a","` + key + `":"2016-10-18T20:29:38Z",` + formPod, formAt + "a\n", ""})
	}
	for _, value := range []string{
		`"2016-10-18T20:29:38+00:00"`, `"2016-10-18T20:29:38+0000"`, `"2016-10-18 20:29:38.5Z"`, `"2016-10-18T20:29:38,5Z"`, `"2016-10-18 20:29:38"`,
		`1476822578`, `1476822578.5`, `1476822578123`, `1476822578123.5`, `1476822578123456`, `1476822578123456789`,
		`"noon","time":1476822578`, `1476822578,"time":"noon"`, `"noon","date":1476822578.5`,
	} {
		all = append(all, form{"time", `{"log":"a","time":` + value + `,` + formPod, formAt + "a\n", ""})
	}
	for _, members := range []string{``, `"time":"noon",`, `"time":12,`, `"time":null,`} {
		all = append(all, form{"time", `{"log":"a",` + members + formPod, "NOW APP[.]: a\n", ""})
	}
	for _, tag := range []string{`"logtag":"P"`, `"_p":"P"`, `"tags":"P:x"`} {
		first := `{"message":"a",` + tag + `,"time":1476822578,` + formPod
		last := `{"message":"b",` + strings.Replace(tag, "P", "F", 1) + `,"time":1476822578,` + formPod
		other := `{"message":"o","time":1476822578,"kubernetes":{"pod_name":"o","labels":{"app":"APP"}}}`
		all = append(all, form{"partial", first + last, formAt + "ab\n", ""},
			form{"partial", first + other + first + last, formAt + "o\n" + formAt + "aab\n", ""}, form{"partial", first, formAt + "a\n", ""})
	}
	return append(all, form{"partial", `{"log":"PIECE","time":1476822578,` + formPod + `{"log":"b\n","time":1476822578,` + formPod, formAt + "PIECEb\n", ""},
		form{"partial", `{"log":"a","time":1476822578,` + formPod + `{"log":"b\n","time":1476822578,` + formPod, formAt + "a\n" + formAt + "b\n", ""})
}

// nameSettings holds the logger's settings for formsOfNames.
var nameSettings = map[string]string{
	"LOGGER_APP_LABEL": "app.kubernetes.io/name", "LOGGER_CONTROLLER_CONTAINER": "drycc-controller", "LOGGER_CONTROLLER_NAME": "drycc",
}

// formsOfNames returns forms whose app label and controller have other names than the default ones.
func formsOfNames() []form {
	controller := func(name string) string {
		return `{"log":"INFO [APP]: a","time":1476822578,"kubernetes":{"namespace_name":"any","container_name":"` + name + `","labels":{"app.kubernetes.io/name":"APP"}}}`
	}
	return []form{
		{"labels", `{"log":"a","time":1476822578,"kubernetes":{"labels":{"app.kubernetes.io/name":"APP"}}}`, formAt + "a\n", ""},
		{"labels", `{"log":"a","time":1476822578,"kubernetes":{"labels":{"app_kubernetes_io/name":"APP"}}}`, formAt + "a\n", ""},
		{"labels", `{"log":"a","time":1476822578,"kubernetes":{"pod_labels":{"app_kubernetes_io/name":"APP"}}}`, formAt + "a\n", ""},
		{"labels", `{"log":"a","time":1476822578,` + formPod, "", "no_app"},
		{"controller", controller("my-drycc-controller-1"), "2016-10-18T20:29:38+00:00 drycc[controller]: INFO a\n", ""},
		{"controller", controller("deis-controller"), formAt + "INFO [APP]: a\n", ""},
	}
}

// TestForms: with each storage the logger turns every form that the specification accepts into the
// specified lines.
func TestForms(t *testing.T) {
	all, others := forms(), formsOfNames()
	came := map[string][]string{} // by storage
	for storage, env := range map[string]map[string]string{"memory": harness.MemoryEnv(), "redis": harness.RedisEnv(redistest.Start(t).Addr)} {
		came[storage] = append(comeBack(t, storage, "app", all, env, formSettings), comeBack(t, storage, "other", others, env, nameSettings)...)
	}
	all = append(all, others...)
	if *formsTable != "" {
		if err := os.WriteFile(*formsTable, tableOfForms(all, came), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// comeBack publishes the forms to a logger with these settings, and returns for each form the lines
// that the logger kept.
func comeBack(t *testing.T, storage, name string, all []form, env ...map[string]string) (came []string) {
	t.Helper()
	queue := harness.NewQueue(t)
	l := harness.Start(t, append(env, harness.NSQEnv(queue.TCPAddr()))...)
	received, rejected := 0, map[string]float64{}
	for i, f := range all {
		app := fmt.Sprintf("%s-%d", name, i)
		queue.Publish("logs", []byte(strings.NewReplacer("APP", app, "PIECE", formPiece).Replace(f.input)))
		received += strings.Count(f.input, `"kubernetes":`)
		if f.reason != "" {
			rejected[f.reason]++
		}
		if f.reason == "malformed" {
			received++
		}
		m := l.Settled(received)
		for reason, n := range rejected {
			if got := m[`logger_messages_rejected_total{reason="`+reason+`"}`]; got != n {
				t.Errorf("%s, %s: %v rejected as %s, want %v", storage, f.input, got, reason, n)
			}
		}
		got := ""
		if f.want != "" {
			l.Until("a line of "+f.input, func() bool { // a line without its last piece is shown after 5 s
				got = strings.NewReplacer(app, "APP", formPiece, "PIECE").Replace(l.Lines(app))
				return got != ""
			})
		} else if status := l.Status("/logs/" + app); status != 204 {
			t.Errorf("%s, %s: status %d of an app without lines", storage, f.input, status)
		}
		came = append(came, got)
		at, rest, _ := strings.Cut(got, " ")
		if now, found := strings.CutPrefix(f.want, "NOW "); found {
			published, err := time.Parse(time.RFC3339, at)
			if err != nil || time.Since(published) > time.Minute || rest != now {
				t.Errorf("%s, %s: got %q, want %q", storage, f.input, got, f.want)
			}
		} else if got != f.want {
			t.Errorf("%s, %s: got %q, want %q", storage, f.input, got, f.want)
		}
	}
	return came
}

// tableOfForms returns a table with a row for each form: what was published, and what came back.
func tableOfForms(all []form, came map[string][]string) []byte {
	shown := func(s, reason string) string {
		if reason != "" {
			s += "(one rejected: " + reason + ")"
		}
		return "`" + strings.NewReplacer("\n", " ⏎ ", "|", "\\|").Replace(strings.TrimSuffix(s, "\n")) + "`"
	}
	b := []byte("| part | input | memory | Redis |\n|---|---|---|---|\n")
	for i, f := range all {
		b = fmt.Appendf(b, "| %s | %s | %s | %s |\n", f.part, shown(f.input, ""), shown(came["memory"][i], f.reason), shown(came["redis"][i], f.reason))
	}
	return b
}
