package importer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/importer"
	"github.com/watchdogd/watchdogd/schema"
)

// fuzz imports what it is given, as a file of that name: an error, or a file that is valid.
func fuzz(f *testing.F, name string, seeds ...string) {
	for _, pattern := range seeds {
		files, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(files) == 0 {
			f.Fatalf("no seed is called %s", pattern)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		result, err := importer.Import([]string{file}, importer.Options{Env: noVariables})
		if err != nil {
			return
		}
		if _, err := schema.Parse(filepath.Join(dir, "watchdog.yaml"), result.File.Bytes(), noVariables); err != nil {
			t.Errorf("got %v, want a valid file:\n%s", err, result.File.Bytes())
		}
	})
}

func FuzzProcfile(f *testing.F)    { fuzz(f, "Procfile", "procfile-*/Procfile") }
func FuzzSupervisord(f *testing.F) { fuzz(f, "supervisord.conf", "supervisord-*/supervisord.conf") }
func FuzzProcessCompose(f *testing.F) {
	fuzz(f, "process-compose.yaml", "process-compose-*/process-compose.yaml")
}
func FuzzCompose(f *testing.F)   { fuzz(f, "compose.yaml", "compose-*/*.y*ml") }
func FuzzEcosystem(f *testing.F) { fuzz(f, "ecosystem.config.js", "pm2-*/ecosystem.*js") }
func FuzzUnit(f *testing.F)      { fuzz(f, "a.service", "systemd-*/*.service") }

func FuzzDockerfile(f *testing.F) {
	text, err := os.ReadFile("testdata/compose-build/api/Dockerfile")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, "run")
	f.Fuzz(func(t *testing.T, text []byte, target string) {
		image, err := importer.Dockerfile(text, target)
		if err == nil && image == nil {
			t.Error("got neither an image nor an error")
		}
	})
}
