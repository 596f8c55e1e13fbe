package plugin

import (
	"fmt"
	"strconv"

	"github.com/deis/logger/sdk"
)

// Limits bound what one plugin process takes. The zero Limits bound nothing.
type Limits struct {
	// OpenFiles is the most file descriptors that the process may have, enforced by
	// the system; 0 is the host's own limit. Programs that it starts inherit it.
	OpenFiles int
	// Memory is the most memory that the process may take: its own (anonymous) pages, those of
	// files in a tmpfs that it has mapped, and what of it is swapped out; 0 is no limit. A Go
	// process is told seven eighths of it (GOMEMLIMIT), so that it collects in time. A process that
	// a check finds above it is ended, and another started. This is no guard against a sudden burst
	// between two checks, and does not count programs that the plugin starts: that is the work of a
	// container's limit.
	Memory sdk.Bytes
}

// leastFiles and leastMemory are the lowest limits: no plugin starts with less.
const (
	leastFiles  = 32
	leastMemory = 16 << 20
)

// Check refuses limits that this system does not offer, with an error wrapping
// [sdk.ErrInvalid].
func (l Limits) Check() error {
	switch {
	case l.OpenFiles < 0 || l.OpenFiles > 0 && l.OpenFiles < leastFiles:
		return sdk.Refusef("LOGGER_PLUGIN_MAX_OPEN_FILES=%d: want 0 for the logger's own limit, or at least %d", l.OpenFiles, leastFiles)
	case l.Memory < 0 || l.Memory > 0 && l.Memory < leastMemory:
		return sdk.Refusef("LOGGER_PLUGIN_MAX_MEMORY=%d: want 0 for no limit, or at least %dMiB", l.Memory, leastMemory>>20)
	case limitsWork:
	case l.OpenFiles > 0:
		return sdk.Refusef("LOGGER_PLUGIN_MAX_OPEN_FILES=%d: this system offers no such limit: want it unset", l.OpenFiles)
	case l.Memory > 0:
		return sdk.Refusef("LOGGER_PLUGIN_MAX_MEMORY=%d: this system offers no such limit: want it unset", l.Memory)
	}
	return nil
}

// environment adds the variables that tell the process its limits.
func (l Limits) environment(env []string) []string {
	if l.Memory > 0 {
		env = append(env, "GOMEMLIMIT="+strconv.FormatInt(int64(l.Memory)/8*7, 10))
	}
	return env
}

// checkMemory fails once the process takes more than it may.
func (l Limits) checkMemory(pid int) error {
	if l.Memory == 0 {
		return nil
	}
	used, err := memoryOf(pid)
	if err != nil {
		return nil // it is gone, which others tell better
	}
	if used > int64(l.Memory) {
		return &overLimitError{used: used, limit: int64(l.Memory)}
	}
	return nil
}

// overLimitError says that a process took more memory than it may.
type overLimitError struct{ used, limit int64 }

func (e *overLimitError) Error() string {
	return fmt.Sprintf("it took %d MiB of memory, more than LOGGER_PLUGIN_MAX_MEMORY allows (%d MiB)", e.used>>20, e.limit>>20)
}
