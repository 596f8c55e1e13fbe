package plugin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/deis/logger/sdk"
)

// ErrNotInstalled is returned for a plugin that is in none of the folders.
var ErrNotInstalled = errors.New("plugin not installed")

// Catalog finds plugins by name in a list of folders; earlier folders win.
type Catalog struct{ dirs []string }

// NewCatalog makes a catalog of folders. It leaves out empty names. Relative names start at the
// current folder; $PATH is never searched.
func NewCatalog(dirs ...string) *Catalog {
	c := &Catalog{}
	for _, dir := range dirs {
		if abs, err := filepath.Abs(dir); err == nil && dir != "" {
			c.dirs = append(c.dirs, abs)
		}
	}
	return c
}

// Executable names one installed plugin.
type Executable struct {
	Kind sdk.Kind
	Name string
	Path string
}

// String returns the plugin's name in logs: "storage-memory".
func (e Executable) String() string { return e.Kind.String() + "-" + e.Name }

// validName matches what may stand for NAME in logger-KIND-NAME. It keeps a name from being a path.
var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`)

// Find returns the plugin of that kind and name. An error that wraps [ErrNotInstalled]
// says which names are installed and where it looked.
func (c *Catalog) Find(kind sdk.Kind, name string) (Executable, error) {
	installed := c.List(kind)
	for _, e := range installed {
		if e.Name == name {
			return e, nil
		}
	}
	names := make([]string, len(installed))
	for i, e := range installed {
		names[i] = e.Name
	}
	have := "none is installed"
	if len(names) > 0 {
		have = "installed: " + strings.Join(names, ", ")
	}
	return Executable{}, fmt.Errorf("no %s plugin %.80q: %s (looked for executables logger-%s-NAME in LOGGER_PLUGIN_PATH: %s): %w",
		kind, name, have, kind, strings.Join(c.dirs, ", "), ErrNotInstalled)
}

// List returns every installed plugin of that kind, sorted by name. A folder that does not exist,
// or cannot be read, counts as empty.
func (c *Catalog) List(kind sdk.Kind) []Executable {
	var found []Executable
	for _, dir := range c.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			name, ok := strings.CutPrefix(entry.Name(), "logger-"+kind.String()+"-")
			path := filepath.Join(dir, entry.Name())
			if !ok || !validName.MatchString(name) || !executable(path) {
				continue
			}
			if !slices.ContainsFunc(found, func(e Executable) bool { return e.Name == name }) {
				found = append(found, Executable{Kind: kind, Name: name, Path: path})
			}
		}
	}
	slices.SortFunc(found, func(a, b Executable) int { return strings.Compare(a.Name, b.Name) })
	return found
}

func executable(path string) bool {
	info, err := os.Stat(path) // follows links: packagers use them
	return err == nil && info.Mode().IsRegular() && info.Mode()&fs.FileMode(0o111) != 0
}
