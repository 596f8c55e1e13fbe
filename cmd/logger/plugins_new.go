package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/deis/logger/cmd/logger/internal/cli"
	"github.com/deis/logger/examples"
	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/pluginpb"
)

const newUsage = `usage: logger plugins new storage|aggregator NAME [--lang go|python|node] [--sdk PATH]

Writes a plugin into the folder logger-KIND-NAME, which must not exist yet. It is small, and passes
the conformance suite: "make" builds it, "make check" checks it, "make image" puts it into an image.

  --lang LANG   go (the default), python or node
  --sdk PATH    go: a checkout of github.com/deis/logger, whose SDK is used. Without it, it is the
                SDK of this version of logger, which has to be a release

Exit code: 0 when it is written, 1 when it cannot be, 2 for bad arguments.
`

// pluginLanguages has the languages that plugins new can write a plugin in.
var pluginLanguages = []string{"go", "python", "node"}

// newPlugin describes the new plugin to the templates.
type newPlugin struct {
	Kind, Name, Lang string
	Program          string // the executable, and the folder
	Env              string // what settings begin with
	Version          string // the release of logger; empty if this is none
	Tag              string // of logger's image
	SDK              string // the checkout that go.mod points to; empty if there is none
}

var (
	pluginName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`)
	// release matches a version that can be fetched. The version of any other build ends in a
	// commit.
	release = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)[.0-9]*)?$`)
)

func parseNew(args []string) (p newPlugin, err error) {
	flags := flag.NewFlagSet("plugins new", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error is one line
	flags.StringVar(&p.Lang, "lang", "go", "")
	flags.StringVar(&p.SDK, "sdk", "", "")
	var words []string
	for len(args) > 0 { // options may come anywhere
		if err := flags.Parse(args); err != nil {
			return p, err
		}
		if args = flags.Args(); len(args) > 0 {
			words, args = append(words, args[0]), args[1:]
		}
	}
	if len(words) != 2 {
		return p, sdk.Refusef("want a kind and a name: logger plugins new storage|aggregator NAME")
	}
	p.Kind, p.Name = words[0], words[1]
	switch {
	case p.Kind != "storage" && p.Kind != "aggregator":
		return p, sdk.Refusef("kind %q: want storage or aggregator", p.Kind)
	case !pluginName.MatchString(p.Name):
		return p, sdk.Refusef("name %q: want 1 to 63 of a-z, 0-9, - and _, with a letter or digit at both ends", p.Name)
	case !slices.Contains(pluginLanguages, p.Lang):
		return p, sdk.Refusef("--lang %q: want %s", p.Lang, strings.Join(pluginLanguages, ", "))
	case p.SDK != "" && p.Lang != "go":
		return p, sdk.Refusef("--sdk is for --lang go alone: a plugin in %s has no SDK", p.Lang)
	}
	p.Program = "logger-" + p.Kind + "-" + p.Name
	p.Env = strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_"))
	if p.Env[0] >= '0' && p.Env[0] <= '9' {
		p.Env = "PLUGIN_" + p.Env // shells take no variable that begins otherwise
	}
	p.Tag = "canary"
	if release.MatchString(version) {
		p.Version, p.Tag = version, version
	}
	return p, p.findSDK()
}

// findSDK turns the path of the SDK into one that go.mod can have.
func (p *newPlugin) findSDK() (err error) {
	if p.SDK == "" {
		if p.Version == "" && p.Lang == "go" {
			return sdk.Refusef("this logger is no release (%s): give a checkout of its source with --sdk PATH", version)
		}
		return nil
	}
	if p.SDK, err = filepath.Abs(p.SDK); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(p.SDK, "go.mod"))
	if err != nil || !bytes.HasPrefix(mod, []byte("module github.com/deis/logger\n")) {
		return sdk.Refusef("--sdk %q: want a checkout of github.com/deis/logger", p.SDK)
	}
	return nil
}

// writePlugin runs the command "plugins new".
func writePlugin(args []string, stdout, stderr io.Writer) int {
	p, err := parseNew(args)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "logger plugins new:", err)
		return cli.ExitUsage
	}
	files, err := p.files()
	if err == nil {
		err = writeNew(p.Program, files)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "logger plugins new:", err)
		return cli.ExitError
	}
	_, _ = fmt.Fprintf(stdout, "%s is written. Next:\n  cd %s && make check\n", p.Program, p.Program)
	return cli.ExitOK
}

// files returns the plugin's files, by their paths.
func (p *newPlugin) files() (map[string]string, error) {
	files := map[string]string{}
	folders := []string{path.Join("start", p.Kind+"-"+p.Lang)}
	if p.Lang != "go" {
		files["plugin.proto"] = pluginpb.Proto
		folders = append([]string{"storage-" + p.Lang}, folders...) // the later ones replace the earlier
	}
	for _, folder := range folders {
		if err := p.copyFolder(files, folder); err != nil {
			return nil, err
		}
	}
	if p.Kind == "aggregator" {
		for _, storage := range []string{"storage.mjs", "storage.py"} {
			delete(files, storage)
		}
	}
	for _, name := range []string{"README.md", "Makefile", "Dockerfile", "ci.yml", "gitignore", "go.mod"} {
		text, err := p.render(name)
		if err != nil {
			return nil, err
		}
		files[name] = text
	}
	for from, to := range map[string]string{"ci.yml": ".github/workflows/ci.yml", "gitignore": ".gitignore"} {
		files[to] = files[from]
		delete(files, from)
	}
	if p.Lang != "go" {
		delete(files, "go.mod")
	}
	return files, nil
}

// copyFolder adds the files of an example, with the plugin's name in the place of the example's.
func (p *newPlugin) copyFolder(files map[string]string, folder string) error {
	entries, err := examples.Files.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a storage in another language is the example alone
	}
	renamed := strings.NewReplacer(
		"logger-storage-"+p.Lang, p.Program, "logger-"+p.Kind+"-myplugin", p.Program,
		"name: 'node'", "name: '"+p.Name+"'", "name='python'", "name='"+p.Name+"'",
		`"myplugin"`, `"`+p.Name+`"`, "'myplugin'", "'"+p.Name+"'", "MYPLUGIN_", p.Env+"_",
		"../../sdk/pluginpb/proto/logger/plugin/v1/", "./",
		"An example of a logger storage plugin in another language than Go.", "A plugin of logger.",
	)
	for _, e := range entries {
		text, readErr := examples.Files.ReadFile(path.Join(folder, e.Name()))
		err = errors.Join(err, readErr)
		files[e.Name()] = renamed.Replace(string(text))
	}
	return err
}

// render returns a file that all plugins have.
func (p *newPlugin) render(name string) (string, error) {
	t, err := template.ParseFS(examples.Files, path.Join("start", "common", name+".tmpl"))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, p)
	return b.String(), err
}

// writeNew writes the files into a folder that does not exist. If it fails, it leaves nothing
// behind.
func writeNew(dir string, files map[string]string) (err error) {
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // source code, for whoever may read it
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // likewise
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // likewise
			return err
		}
	}
	return nil
}
