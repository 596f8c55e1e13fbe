package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// machineTime is how long the machine's processors worked since it started, in ticks, and how
// long they wanted to and the hypervisor ran others instead.
type machineTime struct{ worked, stolen float64 }

// machine reads /proc/stat.
func machine() (machineTime, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machineTime{}, err
	}
	return parseMachine(stat)
}

// parseMachine reads the first line of /proc/stat: user, nice, system, idle, iowait, irq,
// softirq and steal, as proc(5) has them.
func parseMachine(stat []byte) (t machineTime, err error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	const steal = 8
	if len(fields) <= steal || string(fields[0]) != "cpu" {
		return t, fmt.Errorf("stat of the machine: %.100q", line)
	}
	for i, field := range fields[1 : steal+1] {
		ticks, err := strconv.ParseUint(string(field), 10, 64)
		if err != nil {
			return t, fmt.Errorf("stat of the machine: %w", err)
		}
		switch i + 1 {
		case 4, 5: // idle
		case steal:
			t.stolen = float64(ticks)
		default:
			t.worked += float64(ticks)
		}
	}
	return t, nil
}

// stolenSince returns the stolen part of the time that the processors wanted to work, in percent.
func (t machineTime) stolenSince(before machineTime) float64 {
	stolen := max(0, t.stolen-before.stolen) // a machine that has moved counts anew
	wanted := stolen + t.worked - before.worked
	if wanted <= 0 {
		return 0
	}
	return 100 * stolen / wanted
}
