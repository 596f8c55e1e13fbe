package v1

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// document reads openapi.yaml and checks that it is an OpenAPI 3.1 document.
func document(t *testing.T) (*v3.Document, validator.Validator) {
	t.Helper()
	doc, err := libopenapi.NewDocument(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	report(t, "the document", func() (bool, []*errors.ValidationError) { return v.ValidateDocument() })
	return &model.Model, v
}

func report(t *testing.T, what string, validate func() (bool, []*errors.ValidationError)) {
	t.Helper()
	ok, errs := validate()
	if ok {
		return
	}
	for _, e := range errs {
		t.Errorf("%s: %s: %s", what, e.Message, e.Reason)
		for _, s := range e.SchemaValidationErrors {
			t.Errorf("   %s: %s", s.FieldPath, s.Reason)
		}
	}
}

// TestOpenAPIAndTheRouter: both have the same paths and methods.
func TestOpenAPIAndTheRouter(t *testing.T) {
	doc, _ := document(t)
	described := map[string]bool{}
	for path, item := range doc.Paths.PathItems.FromOldest() {
		for method := range item.GetOperations().FromOldest() {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	served := map[string]bool{}
	r := newRig(t)
	err := chi.Walk(r.api.router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		served[method+" "+route] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(served)); !slices.Equal(got, want) {
		t.Errorf("described: %q\n   served: %q", got, want)
	}
}

// TestOpenAPIAndTheParameters: the parameters that are described are those that are accepted.
func TestOpenAPIAndTheParameters(t *testing.T) {
	doc, _ := document(t)
	for path, names := range map[string][]string{
		"/apps/{app}/logs": slices.Concat(logsNames, excerptNames), "/apps/{app}/tail": slices.Concat(tailNames, excerptNames), "/sessions/{token}/tail": sessionNames,
		"/apps": appsNames, "/apps/{app}": nil, "/apps/{app}/histogram": histogramNames, "/histogram": append(slices.Clone(histogramNames), "app"),
		"/logs": slices.Concat(logsNames, []string{"app", "cursors"}), "/tail": slices.Concat(tailNames, []string{"app", "cursors"}),
	} {
		var described []string
		for _, p := range doc.Paths.PathItems.GetOrZero(path).Get.Parameters {
			if p.In == "query" {
				described = append(described, p.Name)
			}
		}
		slices.Sort(described)
		if want := slices.Sorted(slices.Values(names)); !slices.Equal(described, want) {
			t.Errorf("%s: described %q, accepted %q", path, described, want)
		}
	}
	request := doc.Components.Schemas.GetOrZero("SessionRequest").Schema()
	var filters []string
	for name := range request.Properties.GetOrZero("filters").Schema().Properties.KeysFromOldest() {
		filters = append(filters, name)
	}
	if slices.Sort(filters); !slices.Equal(filters, slices.Sorted(slices.Values(filterNames))) {
		t.Errorf("a session's filters: described %q, accepted %q", filters, filterNames)
	}
}

// TestOpenAPIAndTheAnswers: every answer has a status, a type and a body as described.
func TestOpenAPIAndTheAnswers(t *testing.T) {
	_, v := document(t)
	r := newRig(t)
	r.storage.Add("foo", numbered(12)...)
	r.storage.Keep("foo", 10)
	check := func(method, path, body string, status int) string {
		t.Helper()
		resp := r.open(method, path, body)
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != status {
			t.Errorf("%s %s: %d, %v, want %d: %s", method, path, resp.StatusCode, err, status, answer)
		}
		if resp.Header.Get("Content-Type") == "application/x-ndjson" {
			return string(answer) // the validator would take it for one JSON value; the records are checked below
		}
		resp.Body = io.NopCloser(bytes.NewReader(answer))
		report(t, method+" "+path, func() (bool, []*errors.ValidationError) { return v.ValidateHttpResponse(resp.Request, resp) })
		return string(answer)
	}
	check("GET", "/v1/apps", "", 200)
	check("GET", "/v1/apps/foo", "", 200)
	check("GET", "/v1/apps/nobody", "", 404)
	check("GET", "/v1/apps/foo/logs?format=json&after=ffffffffffffffff-0", "", 200)
	check("GET", "/v1/apps/foo/logs?format=xml", "", 400)
	check("GET", "/v1/apps/nobody/logs", "", 404)
	check("GET", "/v1/apps/nobody/tail?wait=false", "", 404)
	check("GET", "/v1/apps/foo/histogram?since=2026-03-04T00:00:00Z&until=2026-03-05T00:00:00Z", "", 200)
	check("GET", "/v1/apps/nobody/histogram", "", 404)
	check("GET", "/v1/histogram?app=foo&app=*&since=2026-03-04T00:00:00Z&until=2026-03-05T00:00:00Z&step=1h", "", 200)
	check("GET", "/v1/histogram?app=foo&step=x", "", 400)
	check("GET", "/v1/sessions/x/tail", "", 401)
	check("POST", "/v1/apps/foo/sessions", `{"filters":{"lines":1}}`, 201)
	check("POST", "/v1/apps/foo/sessions", `{"filters":1}`, 400)
	records := check("GET", "/v1/apps/foo/logs?format=ndjson&after=ffffffffffffffff-0", "", 200)
	check("GET", "/v1/apps/foo/logs?format=sse", "", 200)
	check("DELETE", "/v1/apps/foo/logs", "", 204)

	records += string(appendHeartbeat(nil, numberedCursor)) + "\n" + string(appendEnd(nil, "stopping", numberedCursor)) + "\n"
	doc, _ := document(t)
	schema := doc.Components.Schemas.GetOrZero("Record").Schema()
	s := schema_validation.NewSchemaValidator()
	kinds := map[string]int{}
	for line := range strings.Lines(records) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		kinds[record["type"].(string)]++
		report(t, line, func() (bool, []*errors.ValidationError) { return s.ValidateSchemaString(schema, line) })
	}
	if kinds["entry"] != 10 || kinds["gap"] != 1 || kinds["heartbeat"] != 1 || kinds["end"] != 1 {
		t.Errorf("checked %v", kinds)
	}
	if ok, _ := s.ValidateSchemaString(schema, `{"type":"gap","from":"","to":"","count":1,"exact":true,"reason":"tired"}`); ok {
		t.Error("a reason that does not exist passes: this test checks nothing")
	}
	r.storage.Fail(io.ErrUnexpectedEOF)
	check("GET", "/v1/apps/foo/logs", "", 503)
}
