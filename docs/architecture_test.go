package docs_test

import (
	"go/constant"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A row of the table of constants in ARCHITECTURE.md names a package, constants of it, and
// their values in the same order.
var tuned = regexp.MustCompile("(?m)^\\| ([a-z0-9_/]+): ((?:`[A-Za-z0-9]+`(?:, )?)+) \\| ([^|]+) \\|")

func TestTheConstantsOfTheArchitectureAreThoseOfTheCode(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := tuned.FindAllStringSubmatch(string(text), -1)
	if len(rows) < 50 {
		t.Errorf("got %d rows, want those of the table", len(rows))
	}
	packages := map[string]*values{}
	for _, row := range rows {
		dir := row[1]
		if packages[dir] == nil {
			packages[dir] = readValues(t, filepath.Join("..", filepath.FromSlash(dir)))
		}
		written := strings.Split(row[3], ", ")
		for i, name := range strings.Split(row[2], ", ") {
			name = strings.Trim(name, "`")
			if _, known := packages[dir].all[name]; !known {
				t.Errorf("got %s.%s, want a constant that exists", dir, name)
				continue
			}
			value := written[min(i, len(written)-1)] // one value may be that of all
			if got, want := packages[dir].of(name), amount(value); want == nil || !constant.Compare(constant.ToFloat(got), token.EQL, constant.ToFloat(want)) {
				t.Errorf("%s.%s: got %s in the table, want %v as in the code", dir, name, value, got)
			}
		}
	}
}

// amount reads a value of the table: a time, a size or a number. Nil is none of them.
func amount(text string) constant.Value {
	number, unit, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	if err != nil {
		return nil
	}
	factor, known := map[string]float64{
		"": 1, "us": float64(time.Microsecond), "ms": float64(time.Millisecond), "s": float64(time.Second), "min": float64(time.Minute), "h": float64(time.Hour),
		"KiB": 1 << 10, "MiB": 1 << 20, "ticks": 1,
	}[unit]
	if !known {
		return nil
	}
	return constant.MakeFloat64(n * factor)
}
