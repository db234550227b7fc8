package modes

import (
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

// TestWorkIsInProportion feeds each parser of what an upstream sends with n,
// 2n and 10n of the same, and counts its allocations.
func TestWorkIsInProportion(t *testing.T) {
	lines := func(n int, line string) string { return strings.Repeat(line+"\r\n", n) }
	parse := func(s string) {
		var h http1.Response
		if err := h.Parse("HTTP/1.1 200 OK\r\n" + s + "\r\n"); err != nil {
			t.Error(err)
		}
		h.Forward(map[string][]string{})
	}
	body := func(s string) {
		var b http1.Body
		b.Chunks(false)
		for p := []byte(s); !b.Ended(); {
			if n := min(b.Content(), int64(len(p))); n > 0 {
				p = p[n:]
				b.Took(n)
				continue
			}
			n, err := b.Line(p)
			if err != nil || n == 0 {
				t.Fatalf("%d bytes before the end: got %v, want no error, and n != 0", len(p), err)
			}
			p = p[n:]
		}
	}
	for name, work := range map[string]func(n int){
		"a head with Keep-Alive":         func(n int) { parse("Keep-Alive: timeout=5" + strings.Repeat(", max=1", n) + "\r\n") },
		"a head with Upgrade":            func(n int) { parse("Connection: Upgrade\r\nUpgrade: a" + strings.Repeat(", a/1", n) + "\r\n") },
		"small chunks":                   func(n int) { body(lines(n, "1\r\na") + "0\r\n\r\n") },
		"extensions of a chunk":          func(n int) { body("1" + strings.Repeat(";a", n) + "\r\na\r\n0\r\n\r\n") },
		"a trailer":                      func(n int) { body("0\r\n" + lines(n, "X-A: b") + "\r\n") },
		"a head of one field many times": func(n int) { parse(lines(n, "X-A: b")) },
		"a head with options":            func(n int) { parse("Connection: a" + strings.Repeat(",a", n/10) + "\r\n" + lines(n, "X-A: b")) },
		"a head with names of trailers":  func(n int) { parse("Trailer: a" + strings.Repeat(",a", n) + "\r\n" + lines(n/2, "X-A: b")) },
	} {
		testkit.InProportion(t, name, 90, testkit.Cost{"pieces": 10}, func(n int) testkit.Cost {
			return testkit.Cost{"pieces": uint64(testing.AllocsPerRun(5, func() { work(n) }))}
		})
	}
}

func TestResponsesHaveABoundedNumberOfFields(t *testing.T) {
	many := strings.Repeat("X-A: b\r\n", 1001)
	var h http1.Response
	if err := h.Parse("HTTP/1.1 200 OK\r\n" + many + "\r\n"); err == nil {
		t.Error("a head of 1,001 fields is taken")
	}
	if err := h.Parse("HTTP/1.1 200 OK\r\nTrailer: " + strings.Repeat("a,", 1001) + "\r\n\r\n"); err == nil {
		t.Error("1,001 names of trailers are taken")
	}
}
