package source

import (
	"os"
	"strings"
	"testing"
)

func TestAFileUnderAnotherNameIsPointedOut(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"WATCHDOG_CONFIG", "fprocess", "function_process", "mode"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	if err := os.WriteFile("watchdog.yml", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := (&Source{}).Find()
	if want := "there is a ./watchdog.yml: rename it, or run watchdogd -c watchdog.yml"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want it to say that %s", err, want)
	}
}
