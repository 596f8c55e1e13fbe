package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// machineTime holds times since the machine's start, in ticks: how long its processors worked, and
// how long they had work while the hypervisor ran other machines.
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

// stolenSince returns the percentage of the time with work in which the hypervisor ran other
// machines.
func (t machineTime) stolenSince(before machineTime) float64 {
	stolen := max(0, t.stolen-before.stolen) // after a migration the machine counts from 0
	wanted := stolen + t.worked - before.worked
	if wanted <= 0 {
		return 0
	}
	return 100 * stolen / wanted
}
