package server

import (
	"context"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// parse makes c.request of a head. Its error is a *Refusal.
func (c *conn) parse(head string) error {
	r, h := &c.request, &c.head
	*r = http.Request{URL: &c.url, Body: http.NoBody, RemoteAddr: c.remote, TLS: c.tls, ProtoMajor: 1, ProtoMinor: 1, Proto: "HTTP/1.1"}
	err := h.Parse(head)
	if h.Minor == 0 {
		r.ProtoMinor, r.Proto = 0, "HTTP/1.0"
	}
	if err != nil {
		return refusalOf(err)
	}
	r.Method, r.RequestURI, r.Host, r.Close = h.Method, h.Target, h.Host, h.Closes()
	if err := c.address(); err != nil {
		return err
	}
	switch {
	case h.Chunked:
		r.ContentLength, r.TransferEncoding = -1, chunkedCoding
		if err := c.announced(); err != nil {
			return err
		}
		c.body.Chunks(true)
		c.body.begin(0)
		r.Body = &c.body
	case h.Length > 0:
		r.ContentLength = h.Length
		c.body.Sized(h.Length)
		c.body.begin(h.Length)
		r.Body = &c.body
	default:
		c.body.None()
		c.body.begin(0)
	}
	if h.Fields.Has("Expect") && h.Minor > 0 {
		c.body.expect = http1.HasToken(h.Fields.Values(nil, "Expect"), "100-continue") && !c.body.Ended()
	}
	if _, takes := c.server.Handler.(http1.Fielder); !takes {
		r.Header = c.response.RequestHeader()
	}
	if r.Host == "" { // then it matters which of our addresses was reached
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.nc.LocalAddr()))
	}
	return nil
}

// refusalOf is err of package http1 as a *Refusal. It says nothing of the bytes.
func refusalOf(err error) error {
	if err == http1.ErrTooManyFields {
		return tooManyFields
	}
	if e, ok := errors.AsType[*http1.Malformed](err); ok {
		return malformed(e.What)
	}
	return malformed(err.Error())
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
	names := c.head.Fields.Values(nil, "Trailer")
	if names == nil {
		return nil
	}
	c.head.Fields.Delete("Trailer")
	for _, value := range names {
		for name := range strings.SplitSeq(value, ",") {
			name = textproto.CanonicalMIMEHeaderKey(strings.Trim(name, " \t"))
			if name == "" {
				continue
			}
			if name != "Host" && http1.FramingTrailer(name) { // a Host that comes is refused; one that is only announced is net/http's to take
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

func malformed(detail string) error {
	return &Refusal{Detail: "the HTTP request is malformed: " + detail}
}
