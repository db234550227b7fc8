package failure_test

import (
	"errors"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
)

func TestAnErrorSaysNothingTwice(t *testing.T) {
	for want, e := range map[string]*failure.Error{
		"it ended":           {Detail: "it ended"},
		"reset":              {Cause: errors.New("reset")},
		"it ended: reset":    {Detail: "it ended", Cause: errors.New("reset")},
		"it ended: with EOF": {Detail: "it ended", Cause: errors.New("it ended: with EOF")},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
