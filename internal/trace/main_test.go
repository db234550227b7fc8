package trace

import (
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
