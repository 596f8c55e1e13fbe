package logql

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// Limits of templates.
const (
	// maxTemplate bounds the text of a template.
	maxTemplate = 4 << 10
	// maxTemplateBytes bounds a template's output for one line, beyond the line's own length.
	// Together, the templates of a pipeline and their functions may read and write four times as
	// much for one line.
	maxTemplateBytes = 64 << 10
)

// builtins lists the functions of text/template that templates may use. The other functions make
// endless texts, or call their arguments.
var builtins = []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len"}

// formatter holds a template of one pipeline.
type formatter struct {
	template *template.Template // nil for an empty text
	b        *builder
	fields   map[string]string
	out      bytes.Buffer
}

// newTemplate checks a template, and makes its formatter.
func newTemplate(text string) (*formatter, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("the template has %d bytes, want at most %d", len(text), maxTemplate)
	}
	f := &formatter{fields: map[string]string{}}
	functions := f.functions()
	t, err := template.New("").Option("missingkey=zero").Funcs(functions).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("want a template: %s", strings.TrimPrefix(err.Error(), "template: :"))
	}
	for _, defined := range t.Templates() {
		if defined != t {
			return nil, errors.New("templates cannot define others")
		}
	}
	if t.Tree == nil {
		return f, nil
	}
	f.template = t
	allowed := slices.AppendSeq(slices.Clone(builtins), maps.Keys(functions))
	return f, checkTemplate(t.Root, allowed)
}

// checkTemplate refuses a template that could take endless time or memory.
func checkTemplate(n parse.Node, allowed []string) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		return checkAll(n.Nodes, allowed)
	case *parse.IfNode:
		return checkBranch(&n.BranchNode, allowed)
	case *parse.WithNode:
		return checkBranch(&n.BranchNode, allowed)
	case *parse.ActionNode:
		return checkTemplate(n.Pipe, allowed)
	case *parse.PipeNode:
		return checkAll(n.Cmds, allowed)
	case *parse.CommandNode:
		return checkAll(n.Args, allowed)
	case *parse.ChainNode:
		return checkTemplate(n.Node, allowed)
	case *parse.IdentifierNode:
		if !slices.Contains(allowed, n.Ident) {
			slices.Sort(allowed)
			return fmt.Errorf("templates have no function %s, want one of %s", n.Ident, strings.Join(allowed, " "))
		}
		return nil
	case *parse.RangeNode, *parse.TemplateNode:
		return fmt.Errorf("templates have neither range nor template, want another than %.40q", n)
	}
	return nil // a text, a field, a variable or a constant
}

func checkAll[N parse.Node](nodes []N, allowed []string) error {
	for _, n := range nodes {
		if err := checkTemplate(n, allowed); err != nil {
			return err
		}
	}
	return nil
}

func checkBranch(n *parse.BranchNode, allowed []string) error {
	return errors.Join(checkTemplate(n.Pipe, allowed), checkTemplate(n.List, allowed), checkTemplate(n.ElseList, allowed))
}

// execute returns the template's output for the line and its labels.
func (f *formatter) execute(b *builder) (string, error) {
	if f.template == nil {
		return "", nil
	}
	clear(f.fields)
	for _, l := range b.labels {
		f.fields[l.Name] = l.Value
	}
	f.b = b
	f.out.Reset()
	if err := f.template.Execute(f, f.fields); err != nil {
		return "", err
	}
	return f.out.String(), nil
}

var errTemplateBytes = errors.New("the template makes too much text")

// charge counts n bytes against what the templates may read and write for one line.
func (b *builder) charge(n int) error {
	if b.work += n; b.work > 4*(maxTemplateBytes+b.length) {
		return errTemplateBytes
	}
	return nil
}

// Write appends to the template's output, up to its bound.
func (f *formatter) Write(p []byte) (int, error) {
	if f.out.Len()+len(p) > maxTemplateBytes+f.b.length {
		return 0, errTemplateBytes
	}
	if err := f.b.charge(len(p)); err != nil {
		return 0, err
	}
	return f.out.Write(p)
}

const templateError = "TemplateFormatErr"

func (s *LineFormat) compile() (step, error) {
	f, err := newTemplate(s.Template)
	return lineFormatStep{f}, err
}

type lineFormatStep struct{ f *formatter }

func (s lineFormatStep) run(b *builder) bool {
	line, err := s.f.execute(b)
	if err != nil {
		b.fail(templateError, describe(err))
		return true
	}
	b.line = line
	return true
}

// describe returns the reason in an error of text/template, without its beginning, which is about
// internals.
func describe(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	return strings.TrimPrefix(err.Error(), "template: :")
}

func (s *LabelFormat) compile() (step, error) {
	step := &labelFormatStep{assignments: s.Assignments, formatters: make([]*formatter, len(s.Assignments))}
	for i, a := range s.Assignments {
		if a.Rename {
			continue
		}
		f, err := newTemplate(a.Template)
		if err != nil {
			return nil, err
		}
		step.formatters[i] = f
	}
	return step, nil
}

type labelFormatStep struct {
	assignments []Assignment
	formatters  []*formatter // nil where a label is renamed
}

func (s *labelFormatStep) run(b *builder) bool {
	for i, a := range s.assignments {
		if a.Rename {
			if from := b.index(a.From); from >= 0 {
				value := b.labels[from].Value
				b.remove(from)
				b.set(a.Name, value)
			}
			continue
		}
		value, err := s.formatters[i].execute(b)
		if err != nil {
			b.fail(templateError, describe(err))
			continue
		}
		b.set(a.Name, value)
	}
	return true
}
