//go:build !linux

package memory

import "os"

// allocate makes room for the bytes [from, to) at the end of the file.
func allocate(f *os.File, from, to int64) error { return writeZeros(f, from, to) }

// fillHoles trusts that the file has no holes.
func fillHoles(*os.File, int64) error { return nil }

// populate leaves it to the system to map a page when it is touched.
func populate([]byte) error { return nil }
