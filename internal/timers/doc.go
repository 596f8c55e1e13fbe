// Package timers has what concerns all timers of a process.
package timers
