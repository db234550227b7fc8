package logwriter

import (
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// patience bounds every wait of the tests.
const patience = 30 * time.Second
