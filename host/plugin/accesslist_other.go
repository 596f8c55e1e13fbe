//go:build !linux

package plugin

func hasAccessList(string) bool { return false }
