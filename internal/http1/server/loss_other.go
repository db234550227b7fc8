//go:build !linux && !darwin

package server

import (
	"errors"
	"time"
)

func setLossAfter(int, time.Duration) error { return errors.ErrUnsupported }
