package forking

import (
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// TestWorkIsInProportion parses n, 2n and 10n of the same header block, and counts the
// allocations.
func TestWorkIsInProportion(t *testing.T) {
	lines := func(n int, line string) string { return strings.Repeat(line+"\r\n", n) }
	block := func(s string) {
		h := cgiHead{}
		if _, done, err := h.parse([]byte("Content-Type: a\r\n" + s + "\r\n")); err != nil || !done {
			t.Errorf("got done %v (%v), want a whole block", done, err)
		}
	}
	for name, work := range map[string]func(n int){
		"a header block": func(n int) { block(lines(n, "X-A: b")) },
		"a header block in single bytes": func(n int) {
			p := newPrinted("cgi", nil)
			for range n * 10 {
				if err := p.output([]byte("X")); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		testkit.InProportion(t, name, 90, testkit.Cost{"pieces": 10}, func(n int) testkit.Cost {
			return testkit.Cost{"pieces": uint64(testing.AllocsPerRun(5, func() { work(n) }))}
		})
	}
}

func TestHeaderBlocksHaveABoundedNumberOfFields(t *testing.T) {
	if _, _, err := (&cgiHead{}).parse([]byte(strings.Repeat("X-A: b\r\n", 1001) + "\r\n")); err == nil {
		t.Error("1,001 fields: got no error, want one")
	}
}
