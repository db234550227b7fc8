package forking

import (
	"strings"
	"testing"
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
		one := testing.AllocsPerRun(5, func() { work(90) })
		for _, times := range []int{2, 10} {
			if got, most := testing.AllocsPerRun(5, func() { work(90 * times) }), float64(times)*1.5*max(one, 10); got > most {
				t.Errorf("%s: %d times as much takes %v allocations, want %v at most (once: %v)", name, times, got, most, one)
			}
		}
	}
}

func TestHeaderBlocksHaveABoundedNumberOfFields(t *testing.T) {
	if _, _, err := (&cgiHead{}).parse([]byte(strings.Repeat("X-A: b\r\n", 1001) + "\r\n")); err == nil {
		t.Error("1,001 fields: got no error, want one")
	}
}
