//go:build chartlive

package charts

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/deis/logger/internal/charttest"
)

// TestLive installs, upgrades and uninstalls the chart on an API server, with its default values,
// those of ci, and all that the tests of the chart render.
//
// The upgrade begins with the last release's chart. As long as there is none, it begins with this
// chart and other values.
func TestLive(t *testing.T) {
	variants := recorded(t)
	files, err := filepath.Glob(filepath.Join(charttest.Dir, "ci", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no values in ci: %v", err)
	}
	for _, file := range files {
		variants[filepath.Base(file)] = read(t, file)
	}
	last := lastChart(t)
	everything := read(t, filepath.Join(last, "ci", "everything.yaml"))
	s := startAPIServer(t)
	for i, name := range slices.Sorted(maps.Keys(variants)) {
		t.Run(fmt.Sprintf("%.60s", name), func(t *testing.T) {
			t.Parallel()
			values, from := variants[name], everything
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the values were\n%s", values)
				}
			})
			if values == everything {
				from = ""
			}
			r := newRelease(t, s, fmt.Sprintf("test-%d", i))
			r.helm(values, "install", charttest.Release, charttest.Dir)
			installed := r.check()
			r.uninstall()
			// What one of the values makes and the other does not has to go and come.
			r.helm(from, "install", charttest.Release, last)
			r.helm(values, "upgrade", charttest.Release, charttest.Dir, "--reset-values")
			upgraded := r.check()
			if got := difference("", upgraded, installed); got != "" {
				t.Errorf("after an upgrade, not after an install: %s", got)
			}
			r.uninstall()
		})
	}
}

// recorded returns the values that the tests here and TestChartSettings render, each by itself.
func recorded(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{{"."}, {"../e2e", "-run", "^TestChartSettings$"}} {
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-count", "1"}, args...)...)
		cmd.Env = append(os.Environ(), charttest.RecordEnv+"="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("no values were rendered: %v", err)
	}
	all := map[string]string{}
	for _, file := range files {
		values := read(t, filepath.Join(dir, file.Name()))
		all[cmp.Or(values, "default values")] = values
	}
	return all
}

// lastChart returns the folder of the last release's chart, or of this one if nothing was released.
func lastChart(t *testing.T) string {
	t.Helper()
	tag, err := exec.CommandContext(t.Context(), "git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^").Output()
	if err != nil {
		t.Log("nothing was released: the upgrades begin with this chart, and other values")
		return charttest.Dir
	}
	dir := t.TempDir()
	archive := filepath.Join(dir, "chart.tar")
	for _, args := range [][]string{
		{"git", "-C", "..", "archive", "--output", archive, strings.TrimSpace(string(tag)), "charts/logger"},
		{"tar", "-xf", archive, "-C", dir},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	t.Logf("the upgrades begin with %s", tag)
	return filepath.Join(dir, "charts", "logger")
}

// release is the chart's release in a namespace of its own, which admits restricted pods alone.
type release struct {
	t         *testing.T
	server    *apiServer
	namespace string
	home      string // of helm, which keeps there what the server said of its resources
}

func newRelease(t *testing.T, s *apiServer, namespace string) *release {
	t.Helper()
	s.create(t, "/api/v1/namespaces", fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {
pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/warn: restricted}}}`, namespace))
	// A controller would make the account.
	s.create(t, "/api/v1/namespaces/"+namespace+"/serviceaccounts", `{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}}`)
	return &release{t: t, server: s, namespace: namespace, home: t.TempDir()}
}

// helm runs a command of helm with these values, and returns its output. A warning fails the test.
func (r *release) helm(values string, args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), charttest.Helm(r.t), append(args, "--namespace", r.namespace)...)
	if values != "" {
		cmd.Args = append(cmd.Args, "--values", "-")
		cmd.Stdin = strings.NewReader(values)
	}
	cmd.Env = []string{"HOME=" + r.home, "KUBECONFIG=" + r.server.kubeconfig}
	var out, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		r.t.Fatalf("helm %q: %v: %s", args, err, &stderr)
	}
	return out.String()
}

// object holds what the server keeps, as decoded JSON.
type object = map[string]any

// check compares each object with its manifest, and has the pods of each Deployment admitted. It
// returns the objects by kind and name, without what the server alone decides.
func (r *release) check() object {
	r.t.Helper()
	all := object{}
	for manifest := range strings.SplitSeq(r.helm("", "get", "manifest", charttest.Release), "\n---\n") {
		manifest += "\n"
		var m struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string
			Metadata   struct{ Name string }
		}
		if err := yaml.Unmarshal([]byte(manifest), &m); err != nil {
			r.t.Fatalf("%v: %s", err, manifest)
		}
		id := m.Kind + " " + m.Metadata.Name
		resource, ok := r.server.resources[m.APIVersion+" "+m.Kind]
		if !ok || !resource.Namespaced {
			r.t.Fatalf("the server has no %s %s in a namespace", m.APIVersion, m.Kind)
		}
		path := resource.objects(r.namespace) + "/" + m.Metadata.Name
		var kept, applied object
		r.server.get(r.t, path, &kept)
		if err := r.server.ask(r.t, http.MethodPatch, path+"?fieldManager=test&force=true&dryRun=All&fieldValidation=Strict", manifest, &applied); err != nil {
			r.t.Error(err)
			continue
		}
		if m.Kind == "Deployment" {
			r.admit(kept)
		}
		plain(kept)
		plain(applied)
		if got := difference(id, kept, applied); got != "" {
			r.t.Errorf("kept is not what the manifest says: %s", got)
		}
		all[id] = kept
	}
	return all
}

// admit asks whether the server would take the pods that a controller would make of the Deployment.
func (r *release) admit(deployment object) {
	r.t.Helper()
	pod := maps.Clone(deployment["spec"].(object)["template"].(object))
	pod["apiVersion"], pod["kind"] = "v1", "Pod"
	pod["metadata"] = maps.Clone(pod["metadata"].(object))
	pod["metadata"].(object)["generateName"] = "pod-"
	document, err := json.Marshal(pod)
	if err != nil {
		r.t.Fatal(err)
	}
	path := "/api/v1/namespaces/" + r.namespace + "/pods?dryRun=All&fieldValidation=Strict"
	if err := r.server.ask(r.t, http.MethodPost, path, string(document), nil); err != nil {
		r.t.Error(err)
	}
}

// plain takes from the object what the server decides.
func plain(o object) {
	delete(o, "status")
	metadata := o["metadata"].(object)
	for _, name := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"} {
		delete(metadata, name)
	}
	if o["kind"] == "Service" {
		spec := o["spec"].(object)
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
}

// uninstall removes the release. Only secrets that the chart says to keep may stay behind.
func (r *release) uninstall() {
	r.t.Helper()
	r.helm("", "uninstall", charttest.Release)
	for _, resource := range r.server.resources {
		if !resource.Namespaced || !slices.Contains(resource.Verbs, "list") || slices.Contains([]string{"Endpoints", "Event"}, resource.Kind) {
			continue // the server says that Endpoints are deprecated; it makes Events itself
		}
		var list struct {
			Items []struct {
				Metadata struct {
					Name        string
					Annotations map[string]string
				}
			}
		}
		r.server.get(r.t, resource.objects(r.namespace), &list)
		for _, item := range list.Items {
			kept := resource.Kind == "Secret" && item.Metadata.Annotations["helm.sh/resource-policy"] == "keep"
			if account := resource.Kind == "ServiceAccount" && item.Metadata.Name == "default"; !kept && !account {
				r.t.Errorf("%s %s is left behind", resource.Kind, item.Metadata.Name)
			}
		}
	}
}

// difference returns the first place at which two objects differ, and what is there.
func difference(at string, got, want any) string {
	if a, ok := got.(object); ok {
		if b, ok := want.(object); ok {
			keys := maps.Clone(a)
			maps.Copy(keys, b)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				if found := difference(at+"."+key, a[key], b[key]); found != "" {
					return found
				}
			}
			return ""
		}
	}
	a, isList := got.([]any)
	if b, ok := want.([]any); ok && isList && len(a) == len(b) {
		for i := range a {
			if found := difference(fmt.Sprintf("%s[%d]", at, i), a[i], b[i]); found != "" {
				return found
			}
		}
		return ""
	}
	if reflect.DeepEqual(got, want) {
		return ""
	}
	return fmt.Sprintf("%s is %v, want %v", at, got, want)
}

// read returns what the file holds.
func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
