package plugin

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/deis/logger/sdk"
)

// checksums holds what files in the format of sha256sum say.
type checksums struct {
	files string
	lines map[string]checksum // by the name as listed
}

type checksum struct {
	sum  string // 64 lower-case hexadecimal digits
	file string
	line int
}

// readChecksums reads a list of files, separated as folders in a path are. Only root and the host's
// user may be able to write to them. Since there may be several, an image can add a plugin to those
// of another by a list of its own.
func readChecksums(files string) (*checksums, error) {
	all := &checksums{files: files, lines: map[string]checksum{}}
	for _, file := range filepath.SplitList(files) {
		lines, err := readChecksumFile(file)
		if err != nil {
			return nil, err
		}
		for name, sum := range lines {
			if old, ok := all.lines[name]; ok && old.sum != sum.sum {
				return nil, sdk.Refusef("%s, line %d: %.200q is in %s too, with another sum", file, sum.line, name, old.file)
			}
			all.lines[name] = sum
		}
	}
	return all, nil
}

func readChecksumFile(file string) (map[string]checksum, error) {
	if err := checkOwnership(file); err != nil {
		return nil, err
	}
	f, err := openRegular(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	lines, err := parseChecksums(f)
	if err != nil {
		return nil, err
	}
	for name, sum := range lines {
		sum.file = file
		lines[name] = sum
	}
	return lines, nil
}

// maxChecksumLine bounds a line: a sum and a path.
const maxChecksumLine = 8 << 10

// parseChecksums reads lines of 64 hexadecimal digits, a blank, a blank or an asterisk,
// and a name. Empty lines, and those that begin with #, are left out, as sha256sum -c
// does. Its errors name the line.
func parseChecksums(r io.Reader) (map[string]checksum, error) {
	lines := map[string]checksum{}
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxChecksumLine)
	n := 0
	for scanner.Scan() {
		n++
		text := strings.TrimSuffix(scanner.Text(), "\r")
		if strings.TrimSpace(text) == "" || text[0] == '#' {
			continue
		}
		if len(text) < 67 || text[64] != ' ' || text[65] != ' ' && text[65] != '*' {
			return nil, refuseChecksum(n, text)
		}
		sum, name := strings.ToLower(text[:64]), text[66:]
		if _, err := hex.DecodeString(sum); err != nil {
			return nil, refuseChecksum(n, text)
		}
		if filepath.IsAbs(name) {
			name = filepath.Clean(name)
		} else {
			name = filepath.Base(name)
		}
		if old, ok := lines[name]; ok && old.sum != sum {
			return nil, sdk.Refusef("line %d: %.200q is in line %d too, with another sum", n, name, old.line)
		}
		lines[name] = checksum{sum: sum, line: n}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	return lines, nil
}

func refuseChecksum(n int, text string) error {
	return sdk.Refusef("line %d: %.100q: want 64 hexadecimal digits, two blanks and a file's name, as sha256sum writes", n, text)
}

// of returns the checksum that is listed for the file: under its whole path, else under its name
// alone, which the list may have below some relative folder.
func (c *checksums) of(path string) (checksum, bool) {
	if sum, ok := c.lines[filepath.Clean(path)]; ok {
		return sum, true
	}
	sum, ok := c.lines[filepath.Base(path)]
	return sum, ok
}

// compare refuses a file whose sum differs from the listed one, or that is not listed, with an
// error that wraps [sdk.ErrInvalid].
func (c *checksums) compare(path, actual string) error {
	want, listed := c.of(path)
	switch {
	case !listed:
		return sdk.Refusef("%s with SHA-256 %s is not listed in LOGGER_PLUGIN_CHECKSUMS=%q", path, actual, c.files)
	case want.sum != actual:
		return sdk.Refusef("%s has SHA-256 %s: line %d of LOGGER_PLUGIN_CHECKSUMS=%q wants %s", path, actual, want.line, want.file, want.sum)
	}
	return nil
}
