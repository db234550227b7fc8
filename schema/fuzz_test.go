package schema

import (
	"path/filepath"
	"reflect"
	"testing"
)

// FuzzParse holds that no bytes make Parse panic, and that what it reads it reads
// again from its own writing.
func FuzzParse(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	file := filepath.Join(dir, "watchdog.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(file, data, environment)
		if err != nil {
			problems, ok := err.(Problems)
			if !ok || len(problems) == 0 {
				t.Fatalf("the error is no Problems: %v", err)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Column < 1 || p.Message == "" {
					t.Fatalf("a problem without a place or message: %+v", p)
				}
			}
			_ = err.Error()
			return
		}
		again(t, c)
	})
}

// again holds that Parse of Marshal is the same.
func again(t *testing.T, c *Config) {
	t.Helper()
	out, err := c.Marshal()
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	d, err := Parse(c.File, out, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatalf("Parse of Marshal: %v\n%s", err, out)
	}
	d.Files = c.Files
	if !reflect.DeepEqual(c, d) {
		t.Fatalf("Parse of Marshal differs:\n%s\nwas  %+v\nis   %+v", out, c, d)
	}
}

var seeds = []string{
	"routes:\n  - name: a\n    fprocess: x\n",
}
