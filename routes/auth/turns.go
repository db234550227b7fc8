package auth

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"
)

// turns bounds how many passwords are hashed at once, in the whole daemon: half of the
// processors do nothing else at most, however many wrong passwords come.
type turns struct {
	slots   chan struct{}
	waiting atomic.Int32
	most    int32         // calls that wait for a turn
	wait    time.Duration // how long one waits
}

// The bounds of turns, and when a client that found no turn is to come again.
const (
	mostWaiting      = 64
	hashingWait      = 3 * time.Second
	retryUnavailable = 2 * time.Second
)

func newTurns() *turns {
	return &turns{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), most: mostWaiting, wait: hashingWait}
}

// errBusy is why there was no turn.
var errBusy = errors.New("too many passwords are being checked at once")

// take waits for a turn, which ends with give. The error is errBusy, or ctx's.
func (t *turns) take(ctx context.Context) error {
	select {
	case t.slots <- struct{}{}:
		return nil
	default:
	}
	if t.waiting.Add(1) > t.most {
		t.waiting.Add(-1)
		return errBusy
	}
	defer t.waiting.Add(-1)
	timer := time.NewTimer(t.wait)
	defer timer.Stop()
	select {
	case t.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return errBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *turns) give() { <-t.slots }
