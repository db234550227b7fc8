package child

import (
	"slices"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func TestWhatTheSchemaNamesCanBeDone(t *testing.T) {
	for _, name := range schema.SignalNames() {
		if got := signalName(SignalOf(name)); got != "SIG"+name {
			t.Errorf("got %s for the signal %s", got, name)
		}
	}
	for _, name := range schema.LimitNames() {
		if _, err := rlimits(map[string]schema.Size{name: 1}); err != nil {
			t.Errorf("got %v for the limit %s, want none", err, name)
		}
	}
	for _, r := range resources {
		if !slices.Contains(schema.LimitNames(), r.name) {
			t.Errorf("the limit %s cannot be written in a file", r.name)
		}
	}
}
