package main

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// width is the last column of prose, as in all documents.
const width = 100

// word matches text that is not broken across lines; code may contain spaces.
var word = regexp.MustCompile("(?:[^\\s`]|`[^`]*`)+")

// node holds a part of the description, or nothing.
type node struct{ *yaml.Node }

func (n node) there() bool { return n.Node != nil }

// at follows the keys from mapping to mapping, and returns the value at the end.
func (n node) at(keys ...string) node {
	for _, key := range keys {
		var found node
		n.each(func(name string, value node) {
			if name == key {
				found = value
			}
		})
		n = found
	}
	return n
}

// text returns the text of a member, or "" if there is none.
func (n node) text(key string) string {
	if value := n.at(key); value.there() {
		return strings.TrimSpace(value.Value)
	}
	return ""
}

// each calls do for each member of a mapping, in order.
func (n node) each(do func(name string, value node)) {
	if !n.there() || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i < len(n.Content); i += 2 {
		do(n.Content[i].Value, node{n.Content[i+1]})
	}
}

// items returns the elements of a list.
func (n node) items() []node {
	if !n.there() || n.Kind != yaml.SequenceNode {
		return nil
	}
	var all []node
	for _, element := range n.Content {
		all = append(all, node{element})
	}
	return all
}

// paragraphs renders a text that may have several paragraphs.
func (d *document) paragraphs(text string) {
	if text == "" {
		return
	}
	for _, paragraph := range strings.Split(text, "\n\n") {
		d.printf("\n%s", fill(paragraph, ""))
	}
}

// item renders an element of a list.
func (d *document) item(text string) { d.printf("- %s", fill(text, "  ")) }

// fill breaks a text into lines, and indents all but the first.
func fill(text, indent string) string {
	var out strings.Builder
	column := len(indent)
	for i, w := range word.FindAllString(text, -1) {
		n := utf8.RuneCountInString(w)
		switch {
		case i == 0:
		case column+1+n > width:
			out.WriteString("\n" + indent)
			column = len(indent)
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(w)
		column += n
	}
	return out.String() + "\n"
}

// cell makes a text fit into a table's cell.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
