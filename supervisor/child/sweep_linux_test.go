package child

import (
	"testing"
)

// A child stands in the process table before it is known to be ours, and has no mark before
// its program runs. In that moment it was taken for a stranger.
func TestASweepHitsNoChildThatIsJustStarting(t *testing.T) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for other := NewOwner(); ; {
			select {
			case <-over:
				return
			default:
				other.SweepAll()
			}
		}
	}()
	defer func() {
		close(over)
		<-ended
	}()
	for range 20 {
		c, _ := start(t, "exit 3")
		if e, err := c.Wait(t.Context()); err != nil || e.Code != 3 {
			t.Fatalf("got %v (%v), want exit status 3", e, err)
		}
	}
}
