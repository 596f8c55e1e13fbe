package main

import "syscall"

// procAttr keeps a terminal's Ctrl-C from the child, which this program ends in its
// own order, and ends it when this program is killed.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
