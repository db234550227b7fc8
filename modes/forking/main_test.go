package forking

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/watchdogd/watchdogd/supervisor/child"
)

func TestMain(m *testing.M) {
	if child.Shim() {
		return
	}
	goleak.VerifyTestMain(m)
}
