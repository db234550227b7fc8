package forking

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/http1"
)

// cgiHead is the header block with which a program of a response: cgi route begins
// its output (RFC 3875, section 6): lines that end in LF or CRLF, up to an empty one.
// It is fed with what came so far, and remembers nothing but the lines it has read.
//
// At least one of Content-Type, Location and Status must be there, as the RFC asks: it
// distinguishes a header block from other output that happens to hold a colon. Lines that are
// folded, and fields that concern a connection rather than the answer, a program has
// no use for: the first are an error, the second are dropped.
type cgiHead struct {
	status int  // 0: none given
	stated bool // the program printed it
	header http.Header
	known  bool // one of the three fields was there
	length int64
	fields int // lines so far
}

// parse reads the whole lines of b, and reports how much of b they are and whether
// the block is complete: what follows is the body.
func (h *cgiHead) parse(b []byte) (n int, done bool, err error) {
	for {
		end := bytes.IndexByte(b[n:], '\n')
		if end < 0 {
			return n, false, nil
		}
		line := bytes.TrimSuffix(b[n:n+end], []byte("\r"))
		if len(line) == 0 {
			return n + end + 1, true, h.complete()
		}
		if err := h.line(string(line)); err != nil {
			return n, false, err
		}
		n += end + 1
	}
}

// line takes one field.
func (h *cgiHead) line(line string) error {
	if h.fields++; h.fields > http1.MaxFields {
		return fmt.Errorf("a header block of more than %d fields", http1.MaxFields)
	}
	f, err := http1.ParseField(line)
	if err != nil {
		return err
	}
	switch f.Name {
	case "Status":
		code, _, _ := strings.Cut(f.Value, " ")
		status, err := strconv.Atoi(code)
		if err != nil || !http1.Digits(code) || status < 200 || status > 599 || h.status != 0 {
			return fmt.Errorf("an invalid or repeated Status: %s", http1.Quoted(line))
		}
		h.status, h.stated, h.known = status, true, true
		return nil
	case "Content-Length":
		length, ok := http1.ParseLength(f.Value)
		if !ok || h.header["Content-Length"] != nil {
			return fmt.Errorf("an invalid or repeated Content-Length: %s", http1.Quoted(line))
		}
		h.length = length
	case "Content-Type", "Location":
		if h.header[f.Name] != nil {
			return fmt.Errorf("a second %s: %s", f.Name, http1.Quoted(line))
		}
		if f.Value == "" {
			return fmt.Errorf("an empty %s", f.Name)
		}
		h.known = true
	}
	if h.header == nil {
		h.header = make(http.Header)
	}
	h.header[f.Name] = append(h.header[f.Name], f.Value)
	return nil
}

// complete checks and tidies the whole block.
func (h *cgiHead) complete() error {
	if !h.known {
		return errors.New("a header block without Content-Type, Location or Status")
	}
	hop := http1.HopOf(h.header)
	for name := range h.header {
		if hop.Ends(name) {
			delete(h.header, name)
		}
	}
	if h.header["Content-Length"] == nil {
		h.length = -1
	}
	if h.status == 0 {
		h.status = http.StatusOK
		if h.header["Location"] != nil {
			h.status = http.StatusFound
		}
	}
	return nil
}

// write puts h into the head of the answer, with typ for a body of no type.
func (h *cgiHead) write(header http.Header, typ []string) {
	if h.header["Location"] == nil {
		header["Content-Type"] = typ
	}
	for name, values := range h.header {
		header[name] = values
	}
}

// bodiless reports whether the answer ends with its head, whatever its fields say.
func (h *cgiHead) bodiless(method string) bool {
	return method == http.MethodHead || h.status == http.StatusNoContent || h.status == http.StatusNotModified
}

// maxCGIHead is the largest header block that is accepted.
const maxCGIHead = buffers.Size
