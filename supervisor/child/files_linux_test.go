package child

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func TestInheritedDescriptorsDoNotReachChildren(t *testing.T) {
	for _, be := range []string{"bearer", "bearer umask"} {
		t.Run(be, func(t *testing.T) {
			file, err := os.Create(filepath.Join(t.TempDir(), "inherited"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "BE="+be)
			cmd.ExtraFiles = []*os.File{file, file}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: got %s, want no error", err, out)
			}
			if got := string(out); strings.Contains(got, "inherited") || !strings.Contains(got, "all") {
				t.Errorf("got the descriptors\n%s\nwant none that was inherited", got)
			}
		})
	}
}

func TestAnotherUserCanOpenItsStandardFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	for _, shim := range []bool{false, true} {
		p, err := NewProgram("test", &schema.Process{
			FProcess: schema.Command{Line: "echo out >/dev/stdout; echo err >/dev/stderr; id -u"}, Shell: true,
			User: "65534:65534", Umask: schema.Umask{Set: shim, Mask: 0o77},
		})
		if err != nil {
			t.Fatal(err)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Start(StartOptions{Stdout: w, Stderr: w})
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(r)
		c.Kill()
		r.Close()
		if got := string(out); err != nil || got != "out\nerr\n65534\n" {
			t.Errorf("by the shim %v: got %q, %v, want out, err and the number of the user", shim, got, err)
		}
	}
}

func TestAScriptWithCRLFIsNamedAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.sh")
	if err := os.WriteFile(file, []byte("#!/bin/sh\r\nexit 0\r\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := NewProgram("test", &schema.Process{FProcess: schema.Command{Words: []schema.Text{schema.Text(file)}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Start(StartOptions{})
	if want := "the first line of " + file + " ends with CRLF"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want it to say that %s", err, want)
	}
}
