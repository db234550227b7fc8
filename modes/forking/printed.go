package forking

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/spill"
)

// printed is what a program prints on its way to becoming a response: with
// response: cgi the header block comes first, and standard error that is mixed into
// the body is never taken for a part of it.
type printed struct {
	to destination

	mu    sync.Mutex
	head  *cgiHead // nil in raw
	block []byte   // of the head: what is not yet a whole line
	size  int      // of the head: its whole lines so far
	began bool
	early *spill.Body // standard error that came before the head was complete
}

// destination is what a mode makes of a program's output. Its methods are called one
// at a time; begin once, before write and also when there is nothing to write, with
// the program's own head, or in raw with nil and what will be written first.
type destination interface {
	begin(h *cgiHead, first []byte) error
	write(p []byte) error
	flush() error // what was begun or written may not be followed soon
	end() error   // the program has ended well: is the response whole?
}

func newPrinted(response string, to destination) *printed {
	p := &printed{to: to}
	if response == "cgi" {
		p.head = &cgiHead{}
	}
	return p
}

// output takes what came from standard output.
func (p *printed) output(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.began {
		if p.head == nil {
			if err := p.begin(b); err != nil {
				return err
			}
			return p.to.write(b)
		}
		p.block = append(p.block, b...)
		if bytes.IndexByte(b, '\n') < 0 && p.size+len(p.block) <= maxCGIHead {
			return nil // a line that comes in pieces is looked at when it is whole
		}
		n, whole, err := p.head.parse(p.block)
		p.size += n
		if err == nil && (!whole && p.size+len(p.block)-n > maxCGIHead || p.size > maxCGIHead) {
			err = fmt.Errorf("no header block ends within %d bytes", maxCGIHead)
		}
		if err != nil {
			return badHead(err)
		}
		rest := p.block[n:]
		if !whole {
			p.block = append(p.block[:0], rest...)
			return nil
		}
		b, p.block = rest, nil
		if err := p.begin(nil); err != nil {
			return err
		}
	}
	if len(b) == 0 {
		return nil
	}
	return p.to.write(b)
}

// errors takes what came from standard error, to mix it in.
func (p *printed) errors(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.began && p.head == nil {
		if err := p.begin(b); err != nil {
			return err
		}
	}
	if p.began {
		if err := p.to.write(b); err != nil {
			return err
		}
		return p.to.flush()
	}
	if p.early == nil {
		p.early = spill.New(0)
	}
	_, err := p.early.Write(b)
	return err
}

// flush is called when nothing more may come for a while.
func (p *printed) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.began {
		return nil
	}
	return p.to.flush()
}

// end is called when the program has ended well and all it printed was taken.
func (p *printed) end() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.began {
		return p.to.end()
	}
	if p.head != nil {
		return badHead(fmt.Errorf("the output ended in the header block, at %s", http1.Quoted(string(p.block))))
	}
	if err := p.begin(nil); err != nil {
		return err
	}
	return p.to.end()
}

func (p *printed) begin(first []byte) error {
	p.began = true
	err := p.to.begin(p.head, first)
	if p.early != nil && err == nil {
		err = p.early.CopyTo(writerTo{p.to}, p.early.Size())
	}
	p.close()
	return err
}

// started reports whether anything is on its way to the client or kept for it.
func (p *printed) started() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.began || p.early != nil
}

// stated reports whether the program has said itself, in a header block that is
// complete, what the status of the response is.
func (p *printed) stated() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.began && p.head != nil && p.head.stated
}

// close releases what was kept. It is called when nothing is printed any more.
func (p *printed) close() {
	if p.early != nil {
		p.early.Free()
		p.early = nil
	}
}

func badHead(err error) error {
	return &failure.Error{Kind: failure.BadUpstream, Detail: "the program's output does not begin with a valid header block", Cause: err}
}

// echoed is a destination whose parts go elsewhere too. An error of that
// other writer is ignored.
type echoed struct {
	destination
	echo io.Writer
}

func (e echoed) write(p []byte) error {
	_, _ = e.echo.Write(p)
	return e.destination.write(p)
}

// writerTo is a destination as an io.Writer.
type writerTo struct{ to destination }

func (w writerTo) Write(b []byte) (int, error) { return len(b), w.to.write(b) }

var errShort = &failure.Error{Kind: failure.BadUpstream, Detail: "the program's output is shorter than its Content-Length"}
