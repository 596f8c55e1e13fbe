package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// page bounds the lines of a decision's record.
const page = 60

var (
	record = regexp.MustCompile(`^docs/adr/\d{4}-[^/]*\.md$`)
	status = regexp.MustCompile(`^Status: (accepted|superseded by \[ADR \d+\]|withdrawn)`)
)

// checkRecord reports a decision's record that has no status in its third line, is longer than a
// page, or is not in the index.
func checkRecord(file string, lines []string, report func(line int, what string)) {
	if !record.MatchString(filepath.ToSlash(file)) {
		return
	}
	if len(lines) < 3 || !status.MatchString(lines[2]) {
		report(2, `want "Status: accepted", "Status: superseded by [ADR N](…)" or "Status: withdrawn"`)
	}
	if n := len(lines) - 1; n > page {
		report(page, fmt.Sprintf("%d lines, want at most %d", n, page))
	}
	index := filepath.Join(filepath.Dir(file), "README.md")
	if !strings.Contains(read(index), "("+filepath.Base(file)+")") {
		report(0, index+" does not link to it")
	}
}
