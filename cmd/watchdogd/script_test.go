package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Each scenario of testdata/script is a session of a user: commands, and what they print. In
// it "watchdogd" is this test binary. A condition such as [exec:git] asks for a program.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			bin, run := filepath.Join(env.WorkDir, ".bin"), shortDir(t)
			if err := os.Mkdir(bin, 0o700); err != nil {
				return err
			}
			if err := os.Symlink(self(t), filepath.Join(bin, "watchdogd")); err != nil {
				return err
			}
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
			env.Setenv("WATCHDOGD_TEST_AS", "watchdogd")
			env.Setenv("XDG_RUNTIME_DIR", run)
			return nil
		},
	})
}
