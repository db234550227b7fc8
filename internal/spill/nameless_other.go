//go:build !linux

package spill

import (
	"errors"
	"os"
)

// nameless makes a file that never has a name, where the system can.
func nameless(string) (*os.File, error) { return nil, errors.ErrUnsupported }
