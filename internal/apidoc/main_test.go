package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestReferenceIsFresh compares the reference with the description; make api writes it.
func TestReferenceIsFresh(t *testing.T) {
	description, err := os.ReadFile("../../host/api/v1/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	if err := run(bytes.NewReader(description), &want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/api.md")
	if err != nil || string(got) != want.String() {
		t.Errorf("docs/api.md is not what openapi.yaml gives (%v): run make api and commit the result", err)
	}
}

const small = `
servers: [{url: /v1}]
paths:
  /apps/{app}:
    parameters: [{$ref: "#/components/parameters/app"}]
    get:
      summary: One app.
      parameters:
        - {name: form, in: query, required: true, description: "a | b", schema: {type: string, enum: [a, b, c], default: a}}
      responses:
        "200": {description: The app., content: {application/json: {schema: {$ref: "#/components/schemas/App"}}}}
        "503": {$ref: "#/components/responses/Error"}
        "404": {$ref: "#/components/responses/Error"}
components:
  parameters:
    app: {name: app, in: path, required: true, schema: {type: string, minLength: 1, maxLength: 253}}
  responses:
    Error: {description: What is wrong.}
  schemas:
    App:
      type: object
      required: [lines]
      properties:
        lines: {type: array, items: {type: object, required: [text], properties: {text: {type: string}, size: {type: integer, minimum: 1}}}}
    Kind: {oneOf: [{$ref: "#/components/schemas/App"}, {const: none}]}
`

// TestRendering shows each part that a description is made of.
func TestRendering(t *testing.T) {
	var out strings.Builder
	if err := run(strings.NewReader(small), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| [`GET /v1/apps/{app}`](#get-v1appsapp) | One app. |",
		"### GET /v1/apps/{app}\n\nOne app.\n",
		"| `app` | path, required | text, 1 to 253 characters |  |",
		"| `form` | query, required | `a`, `b` or `c`, default `a` | a \\| b |",
		"- **200**: The app. `application/json`: [App](#app).\n- **404**, **503**: a [failure](#failures)\n",
		"## Failures\n\nWhat is wrong.\n",
		"| `lines` | list of object |  |\n| `lines[].text` | text |  |\n| `lines[].size` | whole number, at least 1, or absent |  |\n",
		"### Kind\n\nIt is [App](#app) or `none`.\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out.String())
		}
	}
}

// TestReferenceThatLeadsNowhere: a wrong reference in the description is an error.
func TestReferenceThatLeadsNowhere(t *testing.T) {
	wrong := strings.ReplaceAll(small, `schemas/App"`, `schemas/Apps"`)
	err := run(strings.NewReader(wrong), &strings.Builder{})
	if err == nil || err.Error() != "#/components/schemas/Apps leads nowhere" {
		t.Errorf("got %v", err)
	}
}
