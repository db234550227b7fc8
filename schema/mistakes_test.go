package schema

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected reports in testdata/mistakes")

// TestMistakesAreReported reads each file NAME.yaml of the archives in testdata/mistakes
// for which there is a NAME.told, and compares the report with it, to the letter.
func TestMistakesAreReported(t *testing.T) {
	archives, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("there are no archives", err)
	}
	for _, file := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			full, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := txtar.Write(archive, dir); err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir)
			for i := range archive.Files {
				told := &archive.Files[i]
				name, ok := strings.CutSuffix(told.Name, ".told")
				if !ok {
					continue
				}
				_, err := Load(name+".yaml", environment)
				var problems Problems
				if !errors.As(err, &problems) {
					t.Errorf("%s.yaml: the error is no Problems: %v", name, err)
					continue
				}
				is := problems.Error() + "\n"
				if *update {
					told.Data = []byte(is)
				} else if is != string(told.Data) {
					t.Errorf("%s.yaml: got\n%s\nwant\n%s", name, is, told.Data)
				}
			}
			if *update {
				if err := os.WriteFile(full, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
