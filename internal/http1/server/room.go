package server

import (
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// room is what a connection needs for a request and not while it is idle.
type room struct {
	head    http1.Request
	request http.Request
	header  http.Header // of request
	url     url.URL     // of request

	arrived time.Time     // when the head of the request was complete
	own     [4 << 10]byte // what buf is at first
	buf     []byte        // what is read
	values  []string      // of the fields, as header has them
	text    http1.Text

	answer  http.Header   // of the response
	out     [outSize]byte // what response.out is at first
	trailer []string      // the names of the fields that follow the body of the response

	vector [3][]byte // of response.append
	pieces net.Buffers

	put put
}

var rooms = sync.Pool{New: func() any {
	r := &room{header: http.Header{}, answer: http.Header{}}
	r.put.write = r.put.try
	return r
}}

// take lends the connection room, if it has none.
func (c *conn) take() {
	if c.room == nil {
		c.room = rooms.Get().(*room)
		c.buf, c.r, c.w = c.own[:], 0, 0
		c.response.header = c.answer
	}
}

// shrink gives up a buffer that had to grow, when what is left in it needs less.
func (c *conn) shrink() {
	if left := c.w - c.r; len(c.buf) > len(c.own) && left <= len(c.own) {
		c.w = copy(c.own[:], c.buf[c.r:c.w])
		c.buf, c.r = c.own[:], 0
	}
}

// release takes the room back, if there is one, without anything of the last request.
func (c *conn) release() {
	if c.room == nil {
		return
	}
	c.header, c.answer = cleared(c.header), cleared(c.response.header)
	if clear(c.values); len(c.values) > mostFields {
		c.values = nil
	}
	c.head.Fields.Forget(mostFields)
	c.head = http1.Request{Head: http1.Head{Fields: c.head.Fields}}
	c.request, c.url = http.Request{}, url.URL{}
	if clear(c.trailer); len(c.trailer) > mostFields {
		c.trailer = nil
	}
	c.arrived, c.buf = time.Time{}, nil
	rooms.Put(c.room)
	c.room, c.r, c.w = nil, 0, 0
	c.response.header, c.body.Trailer = nil, nil
}

// mostFields is how many fields a head may have and its memory be kept.
const mostFields = 32

// cleared returns h without its fields, or another in its place when it had so many
// that they would cost memory for long.
func cleared(h http.Header) http.Header {
	if len(h) > mostFields {
		return http.Header{}
	}
	if len(h) > 0 {
		clear(h)
	}
	return h
}
