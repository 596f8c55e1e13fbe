// Command apidoc writes the reference of the HTTP API from its OpenAPI description: go run
// ./internal/apidoc <host/api/v1/openapi.yaml >docs/api.md (make api). It renders only what that
// description uses, and fails if a reference leads nowhere.
package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

const head = `# The API for tools

<!-- Generated from host/api/v1/openapi.yaml by make api: change that file, not this one. -->

For authors of programs that read logs: after this page you can call each endpoint of ` + "`/v1`" + ` and
read its answers. [tail.md](tail.md) explains cursors, gaps and tails with examples, and
[the package client](../client) lists apps, and reads, follows and deletes their logs, for Go
programs; it has no histograms and no sessions. A running logger answers this description as
` + "`/v1/openapi.yaml`" + `.
`

var words = strings.NewReplacer("string", "text", "integer", "whole number")

// failure names the answer that all endpoints share.
const failure = "#/components/responses/Error"

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "apidoc:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var doc yaml.Node
	if err := yaml.NewDecoder(in).Decode(&doc); err != nil {
		return err
	}
	d := &document{root: node{doc.Content[0]}}
	d.write()
	if d.err != nil {
		return d.err
	}
	_, err := io.WriteString(out, d.text.String())
	return err
}

// document renders one description. The first reference that leads nowhere stays in err.
type document struct {
	root node
	text strings.Builder
	err  error
}

func (d *document) printf(format string, args ...any) { fmt.Fprintf(&d.text, format, args...) }

func (d *document) write() {
	d.printf("%s", head)
	d.paragraphs(d.root.at("info").text("description"))
	base := d.root.at("servers").items()[0].text("url")

	d.printf("\n## Endpoints\n\n| request | what it answers or does |\n|---|---|\n")
	d.eachOperation(func(path, method string, _, operation node) {
		title := method + " " + base + path
		d.printf("| [`%s`](#%s) | %s |\n", title, anchor(title), cell(operation.text("summary")))
	})
	d.eachOperation(func(path, method string, all, operation node) {
		d.operation(method+" "+base+path, all, operation)
	})
	d.printf("\n## Failures\n")
	response := d.follow(failure)
	d.paragraphs(response.text("description") + d.content(response))
	d.printf("\n| header | meaning |\n|---|---|\n")
	response.at("headers").each(func(name string, header node) {
		d.printf("| `%s` | %s |\n", name, cell(header.text("description")))
	})
	d.printf("\n## Schemas\n")
	d.root.at("components", "schemas").each(func(name string, schema node) {
		d.printf("\n### %s\n", name)
		d.schema(schema)
	})
}

func (d *document) eachOperation(do func(path, method string, all, operation node)) {
	d.root.at("paths").each(func(path string, all node) {
		all.each(func(method string, operation node) {
			if method != "parameters" {
				do(path, strings.ToUpper(method), all, operation)
			}
		})
	})
}

func (d *document) operation(title string, all, operation node) {
	d.printf("\n### %s\n", title)
	d.paragraphs(operation.text("summary"))
	d.paragraphs(operation.text("description"))
	if parameters := append(all.at("parameters").items(), operation.at("parameters").items()...); len(parameters) > 0 {
		d.printf("\n| parameter | in | value | meaning |\n|---|---|---|---|\n")
		for _, p := range parameters {
			p = d.resolve(p)
			where := p.text("in")
			if p.text("required") == "true" {
				where += ", required"
			}
			d.printf("| `%s` | %s | %s | %s |\n", p.text("name"), where, d.kind(p.at("schema")), cell(p.text("description")))
		}
	}
	if body := operation.at("requestBody"); body.there() {
		body = d.resolve(body)
		d.paragraphs("Body: " + body.text("description") + d.content(body))
	}
	d.printf("\n")
	var failures []string
	operation.at("responses").each(func(status string, response node) {
		if response.text("$ref") == failure {
			failures = append(failures, status)
			return
		}
		response = d.resolve(response)
		d.item(fmt.Sprintf("**%s**: %s%s", status, response.text("description"), d.content(response)))
	})
	slices.Sort(failures)
	d.item(fmt.Sprintf("**%s**: a [failure](#failures)", strings.Join(failures, "**, **")))
}

// content returns the content types of a body, and the schema of each.
func (d *document) content(body node) string {
	var forms []string
	body.at("content").each(func(form string, content node) {
		schema := content.at("schema")
		kind := cmp.Or(schema.text("description"), d.kind(schema))
		forms = append(forms, fmt.Sprintf("`%s`: %s", form, strings.TrimSuffix(kind, ".")))
	})
	if len(forms) == 0 {
		return ""
	}
	return " " + strings.Join(forms, "; ") + "."
}

// schema renders what one schema accepts: alternatives, members of an object, or a kind of text.
func (d *document) schema(schema node) {
	d.paragraphs(schema.text("description"))
	alternatives := schema.at("oneOf").items()
	var named []node
	for _, one := range alternatives {
		if one.text("type") == "object" {
			d.paragraphs(one.text("description"))
			d.members(one)
		} else {
			named = append(named, one)
		}
	}
	switch {
	case len(named) > 0:
		d.paragraphs("It is " + list(named, d.kind) + ".")
	case schema.at("properties").there():
		d.members(schema)
	case len(alternatives) == 0 && schema.text("pattern") == "":
		d.paragraphs("It is " + d.kind(schema) + ".")
	}
}

func (d *document) members(schema node) {
	d.printf("\n| member | value | meaning |\n|---|---|---|\n")
	d.rows("", schema)
}

// rows renders the members of an object, and of the objects in it, each by its whole path.
func (d *document) rows(path string, schema node) {
	always := map[string]bool{}
	for _, name := range schema.at("required").items() {
		always[name.Value] = true
	}
	schema.at("properties").each(func(name string, member node) {
		value := d.kind(member)
		if !always[name] {
			value += ", or absent"
		}
		d.printf("| `%s%s` | %s | %s |\n", path, name, value, cell(member.text("description")))
		d.rows(path+name+".", member)
		d.rows(path+name+"[].", member.at("items"))
	})
}

// kind describes in words which values a schema accepts.
func (d *document) kind(schema node) string {
	if ref := schema.text("$ref"); ref != "" {
		d.resolve(schema)
		name := ref[strings.LastIndexByte(ref, '/')+1:]
		return fmt.Sprintf("[%s](#%s)", name, anchor(name))
	}
	var of string
	switch {
	case schema.at("const").there():
		return "`" + schema.text("const") + "`"
	case schema.at("enum").there():
		of = list(schema.at("enum").items(), func(n node) string { return "`" + n.Value + "`" })
	case schema.at("oneOf").there():
		of = list(schema.at("oneOf").items(), d.kind)
	case schema.at("items").there():
		of = "list of " + d.kind(schema.at("items"))
	case schema.text("pattern") != "":
		of = "text like `" + strings.ReplaceAll(schema.text("pattern"), "|", `\|`) + "`"
	case schema.text("format") == "date-time":
		of = "time (RFC 3339)"
	case len(schema.at("type").items()) > 0:
		of = list(schema.at("type").items(), func(n node) string { return words.Replace(n.Value) })
	default:
		of = cmp.Or(words.Replace(schema.text("type")), "any")
	}
	for _, bound := range []struct{ least, most, unit string }{
		{"minimum", "maximum", ""}, {"minLength", "maxLength", " characters"}, {"minItems", "maxItems", " of them"},
	} {
		least, most := schema.text(bound.least), schema.text(bound.most)
		switch {
		case least != "" && most != "":
			of += ", " + least + " to " + most + bound.unit
		case least != "":
			of += ", at least " + least + bound.unit
		case most != "":
			of += ", at most " + most + bound.unit
		}
	}
	if value := schema.text("default"); value != "" {
		of += ", default `" + value + "`"
	}
	return of
}

// resolve follows a reference to a component.
func (d *document) resolve(n node) node {
	ref := n.text("$ref")
	if ref == "" {
		return n
	}
	return d.follow(ref)
}

func (d *document) follow(ref string) node {
	to := d.root.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	if !to.there() && d.err == nil {
		d.err = fmt.Errorf("%s leads nowhere", ref)
	}
	return to
}

func list(nodes []node, text func(node) string) string {
	texts := make([]string, len(nodes))
	for i, n := range nodes {
		texts[i] = text(n)
	}
	last := len(texts) - 1
	if last == 0 {
		return texts[0]
	}
	return strings.Join(texts[:last], ", ") + " or " + texts[last]
}

// anchor makes a heading's anchor as GitHub does.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}
