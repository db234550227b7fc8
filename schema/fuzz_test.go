package schema

import (
	"bytes"
	"os"
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
	if data, err := os.ReadFile("testdata/full.yaml"); err == nil {
		f.Add(data)
	}
	dir := f.TempDir()
	file := filepath.Join(dir, "watchdog.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("include")) && bytes.ContainsAny(data, "*?[{") {
			return // a pattern may well look through the whole system
		}
		c, err := Parse(file, data, environment)
		if err != nil {
			problems, ok := err.(Problems)
			if !ok || len(problems) == 0 {
				t.Fatalf("the error is no Problems: got %v, want ok true and len(problems) other than 0", err)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Column < 1 || p.Message == "" {
					t.Fatalf("a problem without a place or message: got %+v, want Line at least 1, Column at least 1 and Message set", p)
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
	if c.Admin.Token != "" { // a secret is not written, and without it only this host may reach the address
		c.Admin.Listen, c.Admin.Token = "", ""
	}
	out, err := c.Marshal()
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	d, err := Parse(c.File, out, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatalf("Parse of Marshal: got %v\n%s\nwant no error", err, out)
	}
	d.Files = c.Files
	if !reflect.DeepEqual(c, d) {
		t.Fatalf("Parse of Marshal differs:\n%s\nwas  %+v\nis   %+v", out, c, d)
	}
}

var seeds = []string{
	"routes:\n  - name: a\n    fprocess: x\n",
	"routes:\n  - name: a\n    upstream: 127.0.0.1:3000\n    limits: {rate: 5/s, queue: -1, body: 1MiB}\n",
	"defaults: &d {mode: streaming, env: {A: b}}\nroutes:\n  - {<<: *d, name: a, fprocess: \"x 'y z' ${HOME} $$\"}\n",
	"services:\n  - name: s\n    fprocess: [a, b]\n    restart: {max: 3s}\n    replicas: 2\n    ready: {log: a$}\n    depends_on: []\n",
	"routes:\n  - name: a\n    shell: true\n    fprocess: |\n      a | ${WORDS}\n      b\n",
	"routes:\n\t- a",
	"server: {listen: [':1', 'unix:a'], tls: {cert: a}}\n",
	"a: &a [*a]\nb: {<<: *a}\n? [x]\n: !!binary x\n--- \n...",
	"routes: [{name: a, mode: afterburn, fprocess: x, ready: {exec: \"${NAME}\"}, live: {tcp: 9}}]",
}
