package child

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func TestAnEnvFileIsARegularFileOfABoundedSize(t *testing.T) {
	dir := t.TempDir()
	pipe, large := filepath.Join(dir, "pipe"), filepath.Join(dir, "large.env")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for n := range 50 {
		fmt.Fprintf(&text, "V%d=%s\n", n, strings.Repeat("x", 100<<10))
	}
	if err := os.WriteFile(large, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		files []string
		want  string
	}{
		{[]string{"/dev/zero"}, "env_file /dev/zero cannot be read: it is a device, not a regular file"},
		{[]string{pipe}, "env_file " + pipe + " cannot be read: it is a pipe, not a regular file; write its content to a file first"},
		{[]string{dir}, "env_file " + dir + " cannot be read: it is a directory, not a file"},
		{[]string{large, large}, "env_file " + large + " and those before it hold more than a program's environment can carry (6 MiB)"},
	} {
		p := &schema.Process{FProcess: schema.Command{Words: []schema.Text{"true"}}}
		for _, file := range c.files {
			p.EnvFile = append(p.EnvFile, file)
		}
		if _, err := NewProgram("a", p); err == nil || err.Error() != c.want {
			t.Errorf("env_file %v: got %v, want %s", c.files, err, c.want)
		}
	}
	if _, err := parseEnvFile("f", strings.Repeat("A=\n", maxEnvFile/16+1)); err == nil || !strings.Contains(err.Error(), "more than a program's environment can carry") {
		t.Errorf(`very many variables: got %v, want err != nil && strings.Contains(err.Error(), "more than a program's environment can carry")`, err)
	}
}
