//go:build !linux

package main

import (
	"errors"
	"syscall"
)

func procAttr() *syscall.SysProcAttr { return nil }

func cpuSeconds(int) (float64, error) {
	return 0, errors.New("processor times of processes are measured on Linux only")
}
