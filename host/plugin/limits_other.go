//go:build !linux

package plugin

import (
	"errors"
	"fmt"
)

const limitsWork = false

func (Limits) limitFiles(int) error { return nil }

func giveWay(int) {}

func memoryOf(int) (int64, error) {
	return 0, fmt.Errorf("memory of a process: %w", errors.ErrUnsupported)
}
