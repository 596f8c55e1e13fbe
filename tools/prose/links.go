package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

var (
	code      = regexp.MustCompile("`[^`]*`")
	link      = regexp.MustCompile(`\]\(([^()\s]+)\)|^\[[^\]]+\]: (\S+)`)
	elsewhere = regexp.MustCompile(`^[a-z]+:`)
	heading   = regexp.MustCompile(`^#+ (.*)`)
)

// checkLinks reports the links of a Markdown file to files and headings that do not exist.
func checkLinks(file string, lines []string, report func(line int, what string)) {
	prose(lines, func(i int, line string) {
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(line, ""), -1) {
			target := m[1] + m[2]
			if elsewhere.MatchString(target) {
				continue
			}
			path, anchor, _ := strings.Cut(target, "#")
			to := file
			if path != "" {
				to = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(to); err != nil {
				report(i, "there is no "+target)
			} else if anchor != "" && strings.HasSuffix(to, ".md") && !anchors(to)[anchor] {
				report(i, "there is no heading for "+target)
			}
		}
	})
}

// anchors returns the anchors of a Markdown file's headings.
func anchors(file string) map[string]bool {
	found := map[string]bool{}
	prose(strings.Split(read(file), "\n"), func(_ int, line string) {
		if m := heading.FindStringSubmatch(line); m != nil {
			found[anchor(m[1])] = true
		}
	})
	return found
}

// anchor returns a heading's anchor as GitHub makes it: lower case, hyphens for spaces, no
// punctuation.
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
