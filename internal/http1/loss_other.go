//go:build !linux && !darwin

package http1

import (
	"errors"
	"time"
)

func setLossAfter(int, time.Duration) error { return errors.ErrUnsupported }
