package charts

import (
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/deis/logger/internal/charttest"
)

// provisioning holds a file of Grafana's provisioning/datasources.
type provisioning struct {
	APIVersion  int `yaml:"apiVersion"`
	DataSources []struct {
		Name, Type, Access, URL string
		JSONData                map[string]string `yaml:"jsonData"`
		SecureJSONData          map[string]string `yaml:"secureJsonData"`
	} `yaml:"datasources"`
}

// read reads the text, which has one data source.
func (p *provisioning) read(t *testing.T, text string) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), p); err != nil || len(p.DataSources) != 1 || p.APIVersion != 1 {
		t.Fatalf("%v, %+v in %s", err, p, text)
	}
}

// TestDataSource checks that the data source has the label that Grafana's sidecar looks for, names
// the Service by a host name that the logger accepts, and has a token if the logger needs one.
func TestDataSource(t *testing.T) {
	t.Parallel()
	const token = `api: {tokensSecret: tokens}, grafana: {dataSource: {enabled: true, tokenVariable: LOGGER_TOKEN}}`
	for name, tc := range map[string]struct{ values, url, header, value string }{
		"defaults":        {`{grafana: {dataSource: {enabled: true}}}`, "http://deis-logger.deis.svc:80", "", ""},
		"another Service": {`{service: {name: logs, port: 8000}, grafana: {dataSource: {enabled: true}}}`, "http://logs.deis.svc:8000", "", ""},
		"a token":         {`{` + token + `}`, "http://deis-logger.deis.svc:80", "Authorization", "Bearer $LOGGER_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := charttest.Render(t, tc.values)
			var configMap struct {
				Metadata struct{ Labels map[string]string }
				Data     map[string]string
			}
			if !all.Find(t, "ConfigMap", "deis-logger-datasource", &configMap) {
				t.Fatal("no ConfigMap was rendered")
			}
			if configMap.Metadata.Labels["grafana_datasource"] != "1" {
				t.Errorf("labels %v", configMap.Metadata.Labels)
			}
			var made provisioning
			made.read(t, configMap.Data["deis-logger.yaml"])
			s := made.DataSources[0]
			if s.Name != "logger" || s.Type != "loki" || s.Access != "proxy" || s.URL != tc.url || s.JSONData["httpHeaderName1"] != tc.header || s.SecureJSONData["httpHeaderValue1"] != tc.value {
				t.Errorf("%+v", s)
			}
			asked, err := url.Parse(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			env := all.Logger(t).Containers[0].Environment(t, charttest.Secrets{"logger-redis-creds": {"host": "", "port": "", "password": "", "db": ""}})
			if allowed := strings.Split(env["LOGGER_ALLOWED_HOSTS"], ","); !slices.Contains(allowed, asked.Hostname()) {
				t.Errorf("the host takes requests for %q, and not for %s", allowed, asked.Hostname())
			}
		})
	}
	if charttest.Render(t, ``).Find(t, "ConfigMap", "deis-logger-datasource", new(any)) {
		t.Error("a data source that nobody asked for")
	}
}

// TestDataSourceOfTheDocuments compares the file in docs/grafana.md with the chart's.
func TestDataSourceOfTheDocuments(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/grafana.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "```yaml\n")
	shown, _, _ := strings.Cut(after, "```")
	var configMap struct{ Data map[string]string }
	charttest.Render(t, `{api: {tokensSecret: tokens}, grafana: {dataSource: {enabled: true, tokenVariable: LOGGER_TOKEN}}}`).Find(t, "ConfigMap", "deis-logger-datasource", &configMap)
	var made, documented provisioning
	made.read(t, configMap.Data["deis-logger.yaml"])
	documented.read(t, shown)
	documented.DataSources[0].URL = made.DataSources[0].URL
	if !reflect.DeepEqual(made, documented) {
		t.Errorf("the chart makes %+v, docs/grafana.md has %+v", made, documented)
	}
}
