// Command prose checks the mechanical rules of this project's writing: prose and comments end at
// column 100, the comment of a function begins with its name and a verb other than "is" or "are",
// links lead to existing files and headings, and decisions have a status and fit a page. Its
// arguments are paths of files relative to the repository's root, where it has to run. It exits
// with 1 if a file breaks a rule.
package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	width = 100
	tab   = "    "
)

var (
	comment  = regexp.MustCompile(`^\t*// `)
	says     = regexp.MustCompile(`^// (\w+) (is|are) `)
	function = regexp.MustCompile(`^func (\([^)]*\) )?(\w+)`)
	test     = regexp.MustCompile(`^(Test|Benchmark|Fuzz|Example)`)
	free     = regexp.MustCompile(`^ *\||^    |^\[[^\]]*\]: |^<!--`) // in Markdown: tables, code, links
)

func main() {
	failed := false
	for _, file := range os.Args[1:] {
		lines := strings.Split(read(file), "\n")
		report := func(line int, what string) {
			failed = true
			fmt.Fprintf(os.Stderr, "%s:%d: %s\n", file, line+1, what)
		}
		if !strings.HasSuffix(file, ".md") {
			checkGo(lines, report)
			continue
		}
		checkMarkdown(lines, report)
		checkLinks(file, lines, report)
		checkRecord(file, lines, report)
	}
	if failed {
		os.Exit(1)
	}
}

func read(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return string(b)
}

func checkMarkdown(lines []string, report func(line int, what string)) {
	prose(lines, func(i int, line string) {
		if n := utf8.RuneCountInString(line); n > width && !free.MatchString(line) {
			report(i, fmt.Sprintf("%d characters, want at most %d", n, width))
		}
	})
}

// prose calls each for the lines of a Markdown file that are outside fenced code.
func prose(lines []string, each func(i int, line string)) {
	code := false
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimLeft(line, " "), "```") {
			code = !code
		} else if !code {
			each(i, line)
		}
	}
}

func checkGo(lines []string, report func(line int, what string)) {
	begins := 0 // the first line of the comment that the line belongs to, or follows
	for i, line := range lines {
		if comment.MatchString(line) {
			if i == 0 || !strings.HasPrefix(strings.TrimLeft(lines[i-1], "\t"), "//") {
				begins = i
			}
			n := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", tab))
			if n > width && !strings.Contains(line, "://") {
				report(i, fmt.Sprintf("a comment to column %d, want at most %d", n, width))
			}
			continue
		}
		f := function.FindStringSubmatch(line)
		if f == nil || test.MatchString(f[2]) || i == 0 || !strings.HasPrefix(lines[i-1], "//") {
			continue
		}
		if m := says.FindStringSubmatch(lines[begins]); m != nil && m[1] == f[2] {
			report(begins, fmt.Sprintf("the comment of %s says what it %s, want what it does", f[2], m[2]))
		}
	}
}
