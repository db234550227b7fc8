package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

// shapes are ways to fill so many bytes of a connection. Each is something of which one
// reader or another has done more than its share of work.
var shapes = map[string]func(n int) string{
	"a long value":       func(n int) string { return "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("b", n) + "\r\n\r\n" },
	"a long name":        func(n int) string { return "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("b", n) + ": c\r\n\r\n" },
	"a long target":      func(n int) string { return "GET /" + strings.Repeat("b", n) + " HTTP/1.1\r\nHost: x\r\n\r\n" },
	"escapes":            func(n int) string { return "GET /" + strings.Repeat("%62", n/3) + " HTTP/1.1\r\nHost: x\r\n\r\n" },
	"a long authority":   func(n int) string { return "GET http://" + strings.Repeat("b", n) + "/ HTTP/1.1\r\nHost: x\r\n\r\n" },
	"dots in Host":       func(n int) string { return "GET / HTTP/1.1\r\nHost: " + strings.Repeat(".", n) + "\r\n\r\n" },
	"fields":             func(n int) string { return "GET / HTTP/1.1\r\nHost: x\r\n" + numbered(n, "a%09d: b\r\n") + "\r\n" },
	"fields of one name": func(n int) string { return "GET / HTTP/1.1\r\nHost: x\r\n" + numbered(n, "a: %09d\r\n") + "\r\n" },
	"few long fields": func(n int) string {
		return "GET / HTTP/1.1\r\nHost: x\r\n" + numbered(n, "a%09d: "+strings.Repeat("b", 300)+"\r\n") + "\r\n"
	},
	"options": func(n int) string {
		return "GET / HTTP/1.1\r\nHost: x\r\nConnection: " + numbered(n, "q%08d,") + "\r\n\r\n"
	},
	"empty options": func(n int) string {
		return "GET / HTTP/1.1\r\nHost: x\r\nConnection: " + strings.Repeat(",", n) + "\r\n\r\n"
	},
	"expectations": func(n int) string {
		return "GET / HTTP/1.1\r\nHost: x\r\nExpect: " + strings.Repeat("a,", n/2) + "\r\n\r\n"
	},
	"trailer's names": func(n int) string { return chunkedHead + "Trailer: " + numbered(n, "a%08d,") + "\r\n\r\n0\r\n\r\n" },
	"a name again":    func(n int) string { return chunkedHead + "Trailer: " + strings.Repeat("a,", n/2) + "\r\n\r\n0\r\n\r\n" },
	"a trailer":       func(n int) string { return chunkedHead + "\r\n0\r\n" + numbered(n, "a%08d: b\r\n") + "\r\n" },
	"small chunks":    func(n int) string { return chunkedHead + "\r\n" + strings.Repeat("1\r\na\r\n", n/6) + "0\r\n\r\n" },
	"extensions":      func(n int) string { return chunkedHead + "\r\n1" + strings.Repeat(";a", n/2) + "\r\na\r\n0\r\n\r\n" },
	"empty lines":     func(n int) string { return strings.Repeat("\r\n", n/2) + get },
	"bare LFs":        func(n int) string { return "GET / HTTP/1.1\nHost: x\n" + numbered(n, "a%09d: b\n") + "\n" },
	"no end":          func(n int) string { return strings.Repeat("a", n) },
	"CRs":             func(n int) string { return "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("\r", n) + "\r\n\r\n" },
	"requests":        func(n int) string { return strings.Repeat(get, n/len(get)) },
}

const chunkedHead = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"

// numbered repeats a format of one number until there are n bytes.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// cost is what a server allocates, and how often it reads, to serve raw.
func cost(raw string, step int) testkit.Cost {
	h := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		hop := http1.HopOf(r.Header)
		for name := range r.Header {
			_ = hop.Ends(name)
		}
	}
	s := &Server{Handler: http.HandlerFunc(h), Refuse: refuse, Log: slog.New(slog.DiscardHandler), clock: time.Now(), conns: map[*conn]bool{}}
	nc := &counted{script: script{in: strings.NewReader(raw), step: step}}
	c := newConn(s, nc)
	s.enter(c)
	all := testkit.Allocated(c.serve)
	all["reads"] = uint64(nc.reads)
	return all
}

// counted counts reads.
type counted struct {
	script
	reads int
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads++
	c.out.Reset() // what is answered is not counted
	return c.script.Read(p)
}

// Ten times the bytes cost at most fifteen times as much, and twice the bytes three times;
// counted in bytes and objects allocated and in reads, and never in time.
func TestServingARequestCostsInProportionToItsBytes(t *testing.T) {
	const n = 40_000
	connection := testkit.Cost{"bytes": n, "pieces": 100, "reads": 10} // what it costs, whatever is sent
	for name, shape := range shapes {
		for _, step := range []int{0, 1000} {
			testkit.InProportion(t, fmt.Sprintf("%s, %d bytes a read", name, step), n, connection, func(n int) testkit.Cost {
				return cost(shape(n), step)
			})
		}
	}
}
