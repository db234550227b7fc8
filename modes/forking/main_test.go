package forking

import (
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

func TestMain(m *testing.M) {
	if child.Shim() {
		return
	}
	testkit.Main(m)
}
