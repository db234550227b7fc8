package child

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// What programs print, and what an env_file holds, costs no more than in proportion to its
// bytes.
func TestTextCostsInProportionToBytes(t *testing.T) {
	env := func(text string) func() {
		return func() { _, _ = parseEnvFile("f", text) } // mistakes cost, too
	}
	output := func(text string) func() {
		return func() {
			o := NewOutput(slog.New(slog.DiscardHandler), "route", "a", Printing{Write: func(*Line) {}})
			o.Copy(1, "stdout", io.MultiReader(strings.NewReader(text)))
		}
	}
	for what, make := range map[string]func(n int) func(){
		"variables": func(n int) func() {
			var b strings.Builder
			for i := range n / 20 {
				fmt.Fprintf(&b, "export V%d='x y' # z\n", i)
			}
			return env(b.String())
		},
		"one variable":   func(n int) func() { return env("A=" + strings.Repeat("x", n)) },
		"escapes":        func(n int) func() { return env(`A="` + strings.Repeat(`\n`, n/2) + `"`) },
		"comments":       func(n int) func() { return env(strings.Repeat("# x\n", n/4)) },
		"empty lines":    func(n int) func() { return env(strings.Repeat("\n", n)) },
		"no quote's end": func(n int) func() { return env(`A="` + strings.Repeat("x", n)) },
		"one line":       func(n int) func() { return output(strings.Repeat("x", n)) },
		"characters":     func(n int) func() { return output(strings.Repeat("\U0001f600", n/4)) },
		"broken bytes":   func(n int) func() { return output(strings.Repeat("\x80", n)) },
	} {
		t.Run(what, func(t *testing.T) {
			rings := testkit.Cost{"bytes": 256 << 10, "pieces": 20} // and buffers, which grow to a bound
			testkit.InProportion(t, what, 100_000, rings, func(n int) testkit.Cost { return testkit.Allocated(make(n)) })
		})
	}
}

// How often the log has caught up, and waits to be woken again, is a matter of chance: what
// a short line costs has a bound, and no growth to be compared.
func TestAShortLineHasABoundedCost(t *testing.T) {
	const buffers, each = 4 << 20, 300 // the queue, which grows to its bound; the line, a channel and a goroutine
	for _, line := range []string{"\n", "a line\n"} {
		for _, n := range []int{10_000, 100_000, 1_000_000} {
			o := NewOutput(slog.New(slog.DiscardHandler), "route", "a", Printing{Write: func(*Line) {}})
			r := io.MultiReader(strings.NewReader(strings.Repeat(line, n)))
			bytes := testkit.Allocated(func() { o.Copy(1, "stdout", r) })["bytes"]
			if most := uint64(buffers + each*n); bytes > most {
				t.Errorf("%d times %q: got %d bytes allocated, want at most %d", n, line, bytes, most)
			}
		}
	}
}
