package supervisor

import (
	"context"
	"time"
)

// pause waits for d, and reports false when ctx ended before that.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
