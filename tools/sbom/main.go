// Command sbom writes what programs are made of, as CycloneDX JSON: the modules and the Go version
// of each, as Go recorded them when it built the program. For the host, it also lists the npm
// packages of its page.
//
//	sbom VERSION DATE VENDOR PROGRAM...
//
// DATE is the commit's. VENDOR has the page's packages, each with a LICENSE file whose first line
// names the package and its version. A program is named after its source, so a program with several
// names is listed once.
package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// host names the program that contains the page.
const host = "logger"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) < 4 {
		return errors.New("usage: sbom VERSION DATE VENDOR PROGRAM...")
	}
	l := list{version: args[0], parts: map[string]cdx.Component{}, of: map[string][]string{}}
	for _, program := range args[3:] {
		if err := l.program(program, args[2]); err != nil {
			return err
		}
	}
	return l.write(out, args[1])
}

// list holds the components by reference, and what each program is made of.
type list struct {
	version string
	parts   map[string]cdx.Component
	of      map[string][]string
}

// program adds a program and what it is made of.
func (l *list) program(file, vendor string) error {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return err
	}
	name := path.Base(info.Path)
	if _, ok := l.parts[name]; ok {
		return nil
	}
	l.parts[name] = cdx.Component{BOMRef: name, Type: cdx.ComponentTypeApplication, Name: name, Version: l.version}
	l.add(name, "golang", "std", strings.TrimPrefix(info.GoVersion, "go"))
	for _, module := range info.Deps {
		if module.Replace != nil {
			return fmt.Errorf("%s: %s is replaced by a module that no purl can name", file, module.Path)
		}
		l.add(name, "golang", module.Path, module.Version)
	}
	if name != host {
		return nil
	}
	licenses, _ := filepath.Glob(filepath.Join(vendor, "LICENSE.*")) // the pattern is always valid
	if len(licenses) == 0 {
		return fmt.Errorf("%s has no LICENSE files", vendor)
	}
	for _, file := range licenses {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		first, _, _ := bytes.Cut(text, []byte("\n"))
		pack, version, ok := strings.Cut(string(first), " ")
		if !ok {
			return fmt.Errorf("%s: %q: want a package and its version", file, first)
		}
		l.add(name, "npm", pack, version)
	}
	return nil
}

// add adds a package of that kind to what the program is made of.
func (l *list) add(program, kind, name, version string) {
	purl := fmt.Sprintf("pkg:%s/%s@%s", kind, strings.Replace(name, "@", "%40", 1), version)
	l.parts[purl] = cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: name, Version: version, PackageURL: purl}
	l.of[program] = append(l.of[program], purl)
}

// write writes the list, always in the same order.
func (l *list) write(out io.Writer, date string) error {
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: date, Component: &cdx.Component{
		BOMRef: "github.com/deis/logger", Type: cdx.ComponentTypeApplication, Name: "github.com/deis/logger", Version: l.version,
	}}
	var components []cdx.Component
	for _, part := range l.parts {
		components = append(components, part)
	}
	slices.SortFunc(components, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	programs := cdx.Dependency{Ref: bom.Metadata.Component.BOMRef, Dependencies: &[]string{}}
	var dependencies []cdx.Dependency
	for _, part := range components {
		dependsOn := l.of[part.BOMRef]
		if dependsOn == nil {
			continue
		}
		slices.Sort(dependsOn)
		dependencies = append(dependencies, cdx.Dependency{Ref: part.BOMRef, Dependencies: &dependsOn})
		*programs.Dependencies = append(*programs.Dependencies, part.BOMRef)
	}
	dependencies = append(dependencies, programs)
	bom.Components, bom.Dependencies = &components, &dependencies
	return cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
}
