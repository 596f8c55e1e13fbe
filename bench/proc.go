package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is the unit of a process's times in /proc, which the kernel fixes for
// what it tells programs (USER_HZ).
const ticksPerSecond = 100

// cpuSeconds is the processor time that a process has used, all its threads together.
func cpuSeconds(pid int) (float64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(stat)
}

// parseStat reads utime and stime. The command's name, in parentheses, may have spaces
// and parentheses itself.
func parseStat(stat []byte) (float64, error) {
	end := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[end+1:])
	const utime, stime = 14 - 3, 15 - 3 // as proc(5) counts, from the field after the name
	if end < 0 || len(fields) <= stime {
		return 0, fmt.Errorf("stat of a process: %.100q", stat)
	}
	var ticks uint64
	for _, field := range fields[utime : stime+1] {
		n, err := strconv.ParseUint(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat of a process: %w", err)
		}
		ticks += n
	}
	return float64(ticks) / ticksPerSecond, nil
}

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

// mapped is how much of the files whose path contains part a process has in memory.
func mapped(pid int, part string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return 0, err
	}
	return parseSmaps(b, part)
}

// parseSmaps sums up Rss of the mappings with part in their path. A mapping begins
// with a line "from-to perms offset device inode path"; its fields follow.
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
