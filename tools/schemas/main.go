// Command schemas makes the JSON schemas that charts are validated against, out of the
// OpenAPI documents of Kubernetes: one file a kind, whole, strict (no unknown field) and
// without descriptions.
//
//	go run . FOLDER-OF-OPENAPI-V3 OUT
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// kinds lists the kinds that the chart uses, each with the document that defines it.
var kinds = map[string]string{
	"io.k8s.api.apps.v1.Deployment":            "apis__apps__v1",
	"io.k8s.api.core.v1.Service":               "api__v1",
	"io.k8s.api.core.v1.ServiceAccount":        "api__v1",
	"io.k8s.api.core.v1.Secret":                "api__v1",
	"io.k8s.api.core.v1.ConfigMap":             "api__v1",
	"io.k8s.api.core.v1.PersistentVolumeClaim": "api__v1",
	"io.k8s.api.policy.v1.PodDisruptionBudget": "apis__policy__v1",
	"io.k8s.api.networking.v1.NetworkPolicy":   "apis__networking.k8s.io__v1",
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want two folders: one with the OpenAPI documents, and one to write to")
	}
	for name, document := range kinds {
		b, err := os.ReadFile(filepath.Join(args[0], document+"_openapi.json"))
		if err != nil {
			return err
		}
		var doc struct {
			Components struct{ Schemas map[string]any }
		}
		if err := json.Unmarshal(b, &doc); err != nil {
			return fmt.Errorf("%s: %w", document, err)
		}
		out := map[string]any{"$schema": "http://json-schema.org/draft-07/schema#", "definitions": map[string]any{}}
		s := schemas{all: doc.Components.Schemas, out: out["definitions"].(map[string]any)}
		s.take(name)
		out["$ref"] = "#/definitions/" + name
		b, err = json.Marshal(out)
		if err != nil {
			return err
		}
		kind := strings.ToLower(name[strings.LastIndex(name, ".")+1:])
		if err := os.WriteFile(filepath.Join(args[1], kind+".json"), append(b, '\n'), 0o600); err != nil {
			return err
		}
	}
	return nil
}

type schemas struct{ all, out map[string]any }

// take adds a definition and all that it refers to.
func (s schemas) take(name string) {
	if s.out[name] != nil {
		return
	}
	s.out[name] = map[string]any{} // a definition may refer to itself
	s.out[name] = s.strict(s.all[name])
}

func (s schemas) strict(in any) any {
	switch v := in.(type) {
	case []any:
		for i := range v {
			v[i] = s.strict(v[i])
		}
		return v
	case map[string]any:
		out := map[string]any{}
		if v["format"] == "int-or-string" {
			return map[string]any{"type": []string{"string", "integer"}}
		}
		if all, ok := v["allOf"].([]any); ok && len(all) == 1 { // a reference with a description
			return s.strict(all[0])
		}
		for key, value := range v {
			switch key {
			case "description", "default", "format":
			case "properties":
				properties := map[string]any{}
				for name, property := range value.(map[string]any) {
					properties[name] = s.strict(property)
				}
				out[key], out["additionalProperties"] = properties, false
			case "$ref":
				name := strings.TrimPrefix(value.(string), "#/components/schemas/")
				s.take(name)
				out[key] = "#/definitions/" + name
			default:
				if !strings.HasPrefix(key, "x-kubernetes-") {
					out[key] = s.strict(value)
				}
			}
		}
		return out
	}
	return in
}
