package failure

import "testing"

func TestAConnectionOutOfStepIsClosed(t *testing.T) {
	for kind := Internal; kind <= Timeout; kind++ {
		want := kind == Malformed || kind == SlowBody || kind == BodyTooLarge || kind == HeaderTooLarge || kind == Draining
		if got := kind.Closes(); got != want {
			t.Errorf("kind %d: got %v, want %v", kind, got, want)
		}
	}
}
