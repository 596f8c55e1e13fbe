//go:build !linux

package timers

// Slacken is for Linux.
func Slacken() {}
