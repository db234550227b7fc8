package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// Each scenario of testdata/script is a session of a user: commands, and what they print. In
// it "watchdogd" is this test binary. A condition such as [exec:git] asks for a program. There
// are three commands more than those of testscript:
//
//	freeport NAME...          sets variables to ports that are free
//	get [-X METHOD] [-d BODY] URL   sends a request, as soon as it is answered by a program; the status and the body are stdout
//	await FILE TEXT           waits until a file contains TEXT
func TestScripts(t *testing.T) {
	executable := self(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			bin := filepath.Join(e.WorkDir, ".bin")
			if err := os.Mkdir(bin, 0o700); err != nil {
				return err
			}
			if err := os.Symlink(executable, filepath.Join(bin, "watchdogd")); err != nil {
				return err
			}
			e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("WATCHDOGD_TEST_AS", "watchdogd")
			e.Setenv("XDG_RUNTIME_DIR", shortDir(t))
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, name := range args {
					ts.Setenv(name, fmt.Sprint(testkit.FreePort(t)))
				}
			},
			"get":   scriptGet,
			"await": scriptAwait,
		},
	})
}

func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	method, body := http.MethodGet, ""
	for len(args) > 2 {
		switch args[0] {
		case "-X":
			method = args[1]
		case "-d":
			method, body = http.MethodPost, args[1]
		default:
			ts.Fatalf("get: unknown flag %s", args[0])
		}
		args = args[2:]
	}
	if len(args) != 1 {
		ts.Fatalf("usage: get [-X METHOD] [-d BODY] URL")
	}
	var last error
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		request, err := http.NewRequest(method, args[0], strings.NewReader(body))
		ts.Check(err)
		response, err := http.DefaultClient.Do(request)
		if last = err; err != nil {
			continue // nothing listens yet
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close() // it was read
		ts.Check(err)
		if !neg && waitedInVain(response.StatusCode, string(text)) {
			last = fmt.Errorf("got %s: %s", response.Status, text)
			continue
		}
		fmt.Fprintf(ts.Stdout(), "%d\n%s", response.StatusCode, text)
		if neg == (response.StatusCode < 400) {
			ts.Fatalf("got %s: %s", response.Status, text)
		}
		return
	}
	ts.Fatalf("get %s: %v", args[0], last)
}

func scriptAwait(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	var text []byte
	tick := time.NewTicker(5 * time.Millisecond) // another process's file is not announced
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		text, _ = os.ReadFile(ts.MkAbs(args[0])) // it may not be there yet
		if strings.Contains(string(text), args[1]) {
			return
		}
	}
	ts.Fatalf("got %q in %s, want %q", text, args[0], args[1])
}
