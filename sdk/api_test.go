package sdk

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the API surface down anew")

// TestAPIIsAsWrittenDown compares every exported name of the SDK, with its type, with
// testdata/api.txt, so that what a plugin author can use never changes by accident. A removed or
// changed line breaks existing plugins (docs/plugins/compatibility.md); a new line has to stay for
// ever. After an intended change: go test ./sdk -run API -update.
func TestAPIIsAsWrittenDown(t *testing.T) {
	var lines []string
	for _, dir := range []string{".", "metrics", "storagetest", "aggregatortest", "plugintest"} {
		of, err := exported(dir)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, of...)
	}
	got := strings.Join(lines, "\n") + "\n"
	const file = "testdata/api.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(written), "\n"), "\n")
	for _, line := range want {
		if !slices.Contains(lines, line) {
			t.Errorf("gone, or changed: %s", line)
		}
	}
	for _, line := range lines {
		if !slices.Contains(want, line) {
			t.Errorf("new: %s", line)
		}
	}
}

// exported lists the exported names of the package in a folder, one a line.
func exported(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var lines []string
	fset := token.NewFileSet()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range f.Decls {
			for _, line := range exportedOf(fset, decl) {
				lines = append(lines, f.Name.Name+": "+line)
			}
		}
	}
	slices.Sort(lines)
	return lines, nil
}

func exportedOf(fset *token.FileSet, decl ast.Decl) (lines []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		receiver := ""
		if d.Recv != nil {
			receiver = source(fset, d.Recv.List[0].Type)
			if !ast.IsExported(strings.TrimLeft(receiver, "*")) {
				return nil
			}
			receiver = "(" + receiver + ") "
		}
		if d.Name.IsExported() {
			signature := strings.TrimPrefix(source(fset, d.Type), "func")
			lines = append(lines, "func "+receiver+d.Name.Name+signature)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					lines = append(lines, exportedType(fset, s)...)
				}
			case *ast.ValueSpec:
				for i, name := range s.Names {
					line := d.Tok.String() + " " + name.Name
					if s.Type != nil {
						line += " " + source(fset, s.Type)
					}
					if d.Tok == token.CONST && i < len(s.Values) {
						line += " = " + source(fset, s.Values[i])
					}
					if name.IsExported() {
						lines = append(lines, line)
					}
				}
			}
		}
	}
	return lines
}

// exportedType returns a type, with a line for each exported field or interface method.
func exportedType(fset *token.FileSet, s *ast.TypeSpec) (lines []string) {
	name := s.Name.Name
	var members *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		lines, members = append(lines, "type "+name+" struct"), t.Fields
	case *ast.InterfaceType:
		lines, members = append(lines, "type "+name+" interface"), t.Methods
	default:
		return append(lines, "type "+name+" "+source(fset, s.Type))
	}
	for _, f := range members.List {
		if len(f.Names) == 0 {
			lines = append(lines, fmt.Sprintf("type %s: embeds %s", name, source(fset, f.Type)))
		}
		for _, n := range f.Names {
			if n.IsExported() {
				lines = append(lines, fmt.Sprintf("type %s: %s %s", name, n.Name, source(fset, f.Type)))
			}
		}
	}
	return lines
}

// source returns the node's source in one line.
func source(fset *token.FileSet, node ast.Node) string {
	var b bytes.Buffer
	if err := (&printer.Config{Mode: printer.RawFormat}).Fprint(&b, fset, node); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
