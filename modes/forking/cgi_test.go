package forking

import (
	"errors"
	"fmt"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/spill"
)

// However a block is cut into pieces, it is read alike.
func FuzzHeaderBlock(f *testing.F) {
	f.Add([]byte("Status: 404 Not Found\r\nContent-Type: a/b\r\n\r\nbody"), 7)
	f.Add([]byte("Location: /x\nX: y\nX: z\n\n"), 1)
	f.Add([]byte("Content-Type: a/b\n folded\n\n"), 3)
	f.Add([]byte("\n\nbody"), 1)
	f.Add([]byte("Content-Type: a\nContent-Length: 3\nConnection: close, x\nX: 1\n\nabcdef"), 20)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		read := func(piece int) (string, error) {
			to := &collected{body: spill.New(0)}
			defer to.body.Free()
			p := newPrinted("cgi", to)
			for rest := text; len(rest) > 0; {
				n := min(piece, len(rest))
				if err := p.output(rest[:n]); err != nil {
					return "", err
				}
				rest = rest[n:]
			}
			if err := p.end(); err != nil {
				return "", err
			}
			h := to.head
			if h.status < 200 || h.status > 599 {
				t.Fatalf("got status %d, want at least 200 and at most 599", h.status)
			}
			for name, values := range h.header {
				if !http1.ValidName(name) || (&http1.Hop{}).Ends(name) {
					t.Fatalf("got field %q, want http1.ValidName(name) && !(&http1.Hop{}).Ends(name)", name)
				}
				for _, v := range values {
					if !http1.ValidValue(v) {
						t.Fatalf("got value %q, want http1.ValidValue(v)", v)
					}
				}
			}
			return fmt.Sprint(h.status, h.length, h.header, string(to.body.First(spill.InMemory))), nil
		}
		whole, err := read(max(len(text), 1))
		pieces, pieceErr := read(max(piece%64, 1))
		if whole != pieces || (err == nil) != (pieceErr == nil) {
			t.Fatalf("whole %q %v, in pieces %q %v", whole, err, pieces, pieceErr)
		}
		if e, ok := errors.AsType[*failure.Error](err); err != nil && (!ok || e.Kind != failure.BadUpstream) {
			t.Fatalf("got %v, want no error or one of kind BadUpstream", err)
		}
	})
}
