package server

import (
	"context"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// parse makes c.request of a head. It is strict: two readers who guess differently
// about where a message ends see two different messages. Its error is a *Refusal.
func (c *conn) parse(head string) error {
	r := &c.request
	*r = http.Request{Header: c.header, URL: &c.url, Body: http.NoBody, RemoteAddr: c.remote, TLS: c.tls, ProtoMajor: 1, ProtoMinor: 1, Proto: "HTTP/1.1"}
	line, rest, loose := cutLine(head)
	method, line, ok := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(line, " ")
	switch {
	case !ok || !ok2 || !http1.ValidName(method) || !http1.ValidTarget(target):
		return malformed("the request line is malformed")
	case version == "HTTP/1.0":
		r.ProtoMinor, r.Proto = 0, version
	case version != "HTTP/1.1":
		return malformed("the version of HTTP is unknown")
	}
	r.Method, r.RequestURI = method, target

	f := framing{length: -1}
	lines := strings.Count(rest, "\n")
	if lines > http1.MaxFields+1 { // the last one is empty
		return tooManyFields
	}
	values := make([]string, lines)
	for {
		var bare bool
		line, rest, bare = cutLine(rest)
		loose = loose || bare
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !http1.ValidName(name) {
			return malformed("a header field's name is malformed")
		}
		value = strings.Trim(value, " \t")
		if !http1.ValidValue(value) {
			return malformed("the value of " + name + " has a character that it may not have")
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if err := f.take(name, value); err != nil {
			return err
		}
		if name == "Host" || name == "Transfer-Encoding" {
			continue // net/http keeps them elsewhere
		}
		if before, ok := c.header[name]; ok {
			c.header[name] = append(before, value)
		} else {
			values[0] = value
			c.header[name], values = values[:1:1], values[1:]
		}
	}
	return c.complete(f, loose)
}

// framing is what the fields say about where the request ends and whom it is for.
type framing struct {
	length  int64 // of Content-Length; -1 is none
	chunked bool
	hosts   int
	host    string
	hop     http1.Hop
}

func (f *framing) take(name, value string) error {
	switch name {
	case "Content-Length":
		n, err := strconv.ParseInt(value, 10, 64)
		if f.length >= 0 || err != nil || !http1.Digits(value) {
			return malformed("Content-Length is malformed, or there are two")
		}
		f.length = n
	case "Transfer-Encoding":
		if f.chunked || !strings.EqualFold(value, "chunked") {
			return malformed("the Transfer-Encoding is unknown")
		}
		f.chunked = true
	case "Host":
		f.host = value
		f.hosts++
	case "Connection":
		if !f.hop.Add(value) {
			return malformed(fmt.Sprintf("Connection has more than %d options", http1.MaxOptions))
		}
	}
	return nil
}

// complete sets the rest of the request.
func (c *conn) complete(f framing, loose bool) error {
	r := &c.request
	old := r.ProtoMinor == 0
	switch {
	case f.chunked && f.length >= 0:
		return malformed("there are both Content-Length and Transfer-Encoding")
	case f.chunked && old:
		return malformed("there is a Transfer-Encoding in HTTP/1.0")
	case f.hosts == 0 && !old:
		return malformed("missing required Host header")
	case f.hosts > 1:
		return malformed("there are several Host headers")
	case !http1.ValidHost(f.host):
		return malformed("the Host header is malformed")
	}
	r.Host = f.host
	if err := c.address(); err != nil {
		return err
	}

	r.Close = loose
	switch {
	case f.hop.Close:
		r.Close = true
	case old:
		r.Close = loose || !f.hop.KeepAlive
	}
	switch {
	case f.chunked:
		r.ContentLength, r.TransferEncoding = -1, chunkedCoding
		if err := c.announced(); err != nil {
			return err
		}
		c.body.reset(inSize, 0)
		r.Body = &c.body
	case f.length > 0:
		r.ContentLength = f.length
		c.body.reset(sized, f.length)
		r.Body = &c.body
	default:
		c.body.reset(noBody, 0)
	}
	if expect := c.header["Expect"]; expect != nil && !old {
		c.body.expect = http1.HasToken(expect, "100-continue") && c.body.state != noBody
	}
	if r.Host == "" { // then it matters which of our addresses was reached
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.nc.LocalAddr()))
	}
	return nil
}

var chunkedCoding = []string{"chunked"}

// address makes the URL of the target.
func (c *conn) address() error {
	r := &c.request
	target := r.RequestURI
	c.url = url.URL{}
	if err := http1.CheckTarget(r.Method, target); err != nil {
		return malformed(err.Error())
	}
	path, query, asked := strings.Cut(target, "?")
	if target[0] == '/' && plainPath(path) {
		c.url.Path, c.url.RawQuery, c.url.ForceQuery = path, query, asked && query == ""
		return nil
	}
	authority := r.Method == http.MethodConnect
	if authority {
		target = "http://" + target
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return malformed("the request's target cannot be read")
	}
	if authority {
		u.Scheme = ""
	}
	if u.Host != "" {
		r.Host = u.Host // RFC 9112, 3.2.2
	}
	c.url = *u
	return nil
}

// plainPath reports whether a path means what it says: nothing in it is escaped, or
// would be.
func plainPath(path string) bool {
	for i := range len(path) {
		switch b := path[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case b == '/', b == '-', b == '_', b == '.', b == '~', b == '$', b == '&', b == '+', b == ',', b == ':', b == ';', b == '=', b == '@':
		default:
			return false
		}
	}
	return true
}

// announced notes the names of the trailer's fields, as net/http has them.
func (c *conn) announced() error {
	names := c.header["Trailer"]
	if names == nil {
		return nil
	}
	delete(c.header, "Trailer")
	for _, value := range names {
		for name := range strings.SplitSeq(value, ",") {
			name = textproto.CanonicalMIMEHeaderKey(strings.Trim(name, " \t"))
			switch name {
			case "":
				continue
			case "Transfer-Encoding", "Trailer", "Content-Length":
				return malformed("Trailer names " + name + ", which cannot come after the body")
			}
			if c.request.Trailer == nil {
				c.request.Trailer = http.Header{}
			}
			if c.request.Trailer[name] = nil; len(c.request.Trailer) > http1.MaxFields {
				return tooManyFields
			}
		}
	}
	return nil
}

// cutLine gives the first line of s without its end, and what follows; bare tells
// that it ended in LF alone. s has an end of line.
func cutLine(s string) (line, rest string, bare bool) {
	i := strings.IndexByte(s, '\n')
	line, rest = s[:i], s[i+1:]
	if i > 0 && line[i-1] == '\r' {
		return line[:i-1], rest, false
	}
	return line, rest, true
}

func malformed(detail string) error {
	return &Refusal{Detail: "this is no HTTP request that can be read: " + detail}
}
