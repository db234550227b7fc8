package proxy

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/spill"
)

// request is one call's request as it goes to an HTTP/1.1 upstream. It outlives an
// attempt that failed: what was taken from the client's body and has reached no
// upstream is still in out.
type request struct {
	r       *http.Request
	length  int64       // of the body; -1 = chunked
	body    io.Reader   // nil = none
	held    *spill.Body // the whole body, when it was read beforehand
	upgrade string      // the protocols that the client would switch to
	expect  bool        // the body waits for 100 Continue
	splice  bool        // the body may pass without anybody seeing its progress

	pooled *[]byte
	out    []byte // the head, and behind it the first bytes of the body
	head   int    // how much of out is the head
	left   int64  // bytes of the body that were not yet read
	begun  bool   // the first bytes of the body are in out
	past   bool   // bytes behind those were read
	ended  bool   // the last byte of the body was read
}

// leastRoom is how much of the body's beginning always fits behind the head.
const leastRoom = 4 << 10

// prepare makes q the request that r asks for, with target in the request line and
// held, if there is one, as its body. It fails when r cannot be written without
// becoming something else on the way.
func (q *request) prepare(r *http.Request, fields *http1.Fields, body *call.Body, held *spill.Body, target, authority string) error {
	*q = request{r: r, held: held, pooled: buffers.Get()}
	q.out = (*q.pooled)[:0]
	switch {
	case held != nil:
		q.length = held.Size()
	case body != nil:
		q.length, q.body = max(r.ContentLength, -1), body
	}
	q.rewind()
	hop := fields.Hop()
	if r.ProtoMajor == 1 && r.ProtoMinor >= 1 {
		q.upgrade = protocols(fields, &hop)
		q.expect = q.length != 0 && held == nil && strings.EqualFold(fields.Get("Expect"), "100-continue")
	}
	host := r.Host
	if host == "" {
		host = authority // HTTP/1.0 has no Host; 1.1 wants one
	}
	if !http1.ValidName(r.Method) || !http1.ValidTarget(target) || !http1.ValidTarget(host) {
		return malformed("the method, the path or the host has a character that it may not have")
	}
	q.out = append(q.out, r.Method...)
	q.out = append(q.out, ' ')
	q.out = append(q.out, target...)
	q.out = append(q.out, " HTTP/1.1\r\nHost: "...)
	q.out = append(q.out, host...)
	q.out = append(q.out, http1.CRLF...)
	for _, f := range fields.All() {
		if hop.Ends(f.Name) || f.Name == "Content-Length" || f.Name == "Host" || f.Name == "Expect" {
			continue
		}
		if !http1.ValidName(f.Name) {
			return malformed("the header has a field with a malformed name")
		}
		if !http1.ValidValue(f.Value) {
			return malformed("the header field " + f.Name + " has a character that it may not have")
		}
		q.appendField(f.Name, f.Value)
	}
	q.appendFraming(r, fields)
	q.out = append(q.out, http1.CRLF...)
	q.head = len(q.out)
	if cap(q.out)-q.head < leastRoom {
		q.out = slices.Grow(q.out, leastRoom)
	}
	return nil
}

// appendFraming appends the fields that belong to this hop: where the body ends,
// what may come behind it, and what the connection may become.
func (q *request) appendFraming(r *http.Request, fields *http1.Fields) {
	switch {
	case q.length < 0:
		q.appendField("Transfer-Encoding", "chunked")
		if names := trailerNames(slices.Collect(maps.Keys(r.Trailer))); names != "" {
			q.appendField("Trailer", names)
		}
	case q.length > 0 || fields.Has("Content-Length") || meantToHaveBody(r.Method):
		q.out = append(q.out, "Content-Length: "...)
		q.out = strconv.AppendInt(q.out, q.length, 10)
		q.out = append(q.out, http1.CRLF...)
	}
	if q.expect {
		q.appendField("Expect", "100-continue")
	}
	trailers := fields.Has("Te") && wantsTrailers(fields.Values(nil, "Te"))
	if trailers {
		q.appendField("Te", "trailers")
	}
	switch {
	case q.upgrade != "":
		q.appendField("Connection", "Upgrade")
		q.appendField("Upgrade", q.upgrade)
	case trailers:
		q.appendField("Connection", "TE") // RFC 9110, 10.1.4
	}
}

func (q *request) appendField(name, value string) { q.out = http1.AppendField(q.out, name, value) }

// release returns the buffer back.
func (q *request) release() {
	if q.pooled != nil {
		buffers.Put(q.pooled)
	}
	*q = request{}
}

// replayable reports whether the request can be sent from its beginning, after rewind.
func (q *request) replayable() bool { return !q.past || q.held != nil }

// rewind goes back to the beginning of a request that is replayable.
func (q *request) rewind() {
	if q.begun && !q.past {
		return // out has it
	}
	q.out, q.begun, q.past = q.out[:q.head], false, false
	q.left, q.ended = q.length, q.length == 0
	if q.held != nil {
		q.body = q.held.Section(0, q.held.Size())
	}
}

// complete reports whether the whole request is in out. A short body that has come
// together with its head is read into it.
func (q *request) complete(body *call.Body) bool {
	switch {
	case q.ended && !q.past:
		return true
	case q.begun || q.length < 0 || q.expect || body == nil || q.left > int64(cap(q.out)-len(q.out)) || !body.Has(q.left):
		return false
	}
	b, err := q.readBody(q.out)
	q.out, q.begun = b, true
	return err == nil && q.ended // who sends the rest meets the error again
}

// readBody reads bytes of the body into the room behind b and appends them to it,
// framed as the request says.
func (q *request) readBody(b []byte) ([]byte, error) {
	if q.length < 0 {
		return q.readChunk(b)
	}
	room := b[len(b):cap(b)]
	n, err := q.body.Read(room[:min(int64(len(room)), q.left)])
	q.left -= int64(n)
	b = b[:len(b)+n]
	switch {
	case q.left == 0:
		q.ended = true
		return b, nil
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// chunkHead is a chunk's size line. It has leading zeros, so that its length is known
// before the chunk is read.
const chunkHead = "000000\r\n"

func (q *request) readChunk(b []byte) ([]byte, error) {
	from := len(b) + len(chunkHead)
	n, err := q.body.Read(b[from : cap(b)-len(http1.CRLF)])
	if n > 0 {
		b = fmt.Appendf(b, "%06x\r\n", n)
		b = append(b[:from+n], http1.CRLF...)
	}
	if err == io.EOF {
		q.ended = true
		return q.appendLastChunk(b), nil
	}
	return b, err
}

// appendLastChunk ends a chunked body; the client's trailer is complete only now.
func (q *request) appendLastChunk(b []byte) []byte {
	b = append(b, "0\r\n"...)
	for name, values := range q.r.Trailer {
		for _, value := range values {
			if http1.ValidTrailer(name) && http1.ValidValue(value) {
				b = http1.AppendField(b, name, value)
			}
		}
	}
	return append(b, http1.CRLF...)
}

// meantToHaveBody reports whether a request of this method without a body says so.
func meantToHaveBody(method string) bool {
	return method == "POST" || method == "PUT" || method == "PATCH"
}

// protocols returns those that a client asks to switch to by Upgrade. h2c is taken out:
// what speaks it would reach every path of the upstream, past the route and its limits.
func protocols(fields *http1.Fields, hop *http1.Hop) string {
	if !hop.Upgrade {
		return ""
	}
	var list []string
	for _, value := range fields.Values(nil, "Upgrade") {
		list = http1.AppendList(list, value)
	}
	kept := list[:0]
	for _, protocol := range list {
		if http1.ValidValue(protocol) && !strings.EqualFold(protocol, "h2c") {
			kept = append(kept, protocol)
		}
	}
	return strings.Join(kept, ", ")
}

// wantsTrailers reports whether TE says that trailers are understood.
func wantsTrailers(te []string) bool {
	for _, value := range te {
		for element := range strings.SplitSeq(value, ",") {
			name, _, _ := strings.Cut(element, ";")
			if strings.EqualFold(strings.Trim(name, " \t"), "trailers") {
				return true
			}
		}
	}
	return false
}

// trailerNames is the value of Trailer for the fields that were announced.
func trailerNames(names []string) string {
	return strings.Join(slices.DeleteFunc(names, func(name string) bool {
		return !http1.ValidTrailer(http.CanonicalHeaderKey(name))
	}), ", ")
}

func malformed(detail string) error {
	return &failure.Error{Kind: failure.Malformed, Detail: detail}
}

// Target is what goes into the request line: base and the path and query as the
// caller sent them, byte for byte.
func Target(r *http.Request, base string) (string, error) {
	uri := r.RequestURI
	if uri == "" {
		uri = r.URL.RequestURI() // a request that no server read
	}
	if !strings.HasPrefix(uri, "/") {
		var err error
		if uri, err = fromAbsolute(r, uri); err != nil {
			return "", err
		}
	}
	if base == "" {
		return uri, nil
	}
	path, _, _ := strings.Cut(uri, "?")
	if climbs(path) {
		return "", malformed("the path has dot segments that lead above the upstream's base path")
	}
	return base + uri, nil
}

// fromAbsolute returns the path of a request whose target is not one.
func fromAbsolute(r *http.Request, uri string) (string, error) {
	if uri == "*" && r.Method == http.MethodOptions {
		return uri, nil
	}
	_, rest, ok := strings.Cut(uri, "://")
	if !ok || r.Method == http.MethodConnect {
		return "", malformed("the request's target is not a path")
	}
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return "/", nil
	case rest[i] == '?':
		return "/" + rest[i:], nil
	}
	return rest[i:], nil
}

// climbs reports whether some server could find a path to lead above where it
// begins: it is read in every way that servers are known to read one.
func climbs(path string) bool {
	if !strings.Contains(path, "..") && !strings.Contains(path, "%") {
		return false
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		plain = path
	}
	depth := 0
	for segment := range strings.FieldsFuncSeq(plain, func(c rune) bool { return c == '/' || c == '\\' }) {
		segment, _, _ = strings.Cut(segment, ";") // Java's path parameters
		switch segment {
		case ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return true
		}
	}
	return false
}
