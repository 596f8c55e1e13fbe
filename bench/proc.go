package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// status reads a field such as VmHWM of /proc/PID/status, in bytes.
func status(pid int, field string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseStatus(b, field)
}

func parseStatus(status []byte, field string) (float64, error) {
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return parseKB(value)
		}
	}
	return 0, fmt.Errorf("status of a process has no %s", field)
}

// mapped returns how many bytes a process has in memory of the files whose path contains part.
func mapped(pid int, part string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return 0, err
	}
	return parseSmaps(b, part)
}

// parseSmaps adds up Rss of the mappings whose path contains part. A mapping begins with a line
// "from-to perms offset device inode path"; its fields follow.
func parseSmaps(smaps []byte, part string) (sum float64, err error) {
	inside := false
	for line := range strings.Lines(string(smaps)) {
		name, value, isField := strings.Cut(line, ":")
		if !isField || strings.Contains(name, " ") {
			inside = strings.Contains(line, part)
			continue
		}
		if inside && name == "Rss" {
			n, err := parseKB(value)
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}

func parseKB(text string) (float64, error) {
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("a size in kB: %w", err)
	}
	return float64(n) * 1024, nil
}
