package server

import (
	"net/http"
	"sync"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// room is what a connection needs for a request and not while it is idle.
type room struct {
	buf               [4 << 10]byte
	request, response http.Header // empty
	fields            []http1.Field
	values            []string // of the fields, as request has them
	text              http1.Text
}

var rooms = sync.Pool{New: func() any { return &room{request: http.Header{}, response: http.Header{}} }}

// take lends the connection room, if it has none.
func (c *conn) take() {
	if c.buf == nil {
		c.room = rooms.Get().(*room)
		c.buf, c.r, c.w = c.room.buf[:], 0, 0
		c.header, c.response.header, c.head.Fields = c.room.request, c.room.response, c.room.fields
	}
}

// shrink gives up a buffer that had to grow, when what is left in it needs less.
func (c *conn) shrink() {
	if left := c.w - c.r; len(c.buf) > len(c.room.buf) && left <= len(c.room.buf) {
		c.w = copy(c.room.buf[:], c.buf[c.r:c.w])
		c.buf, c.r = c.room.buf[:], 0
	}
}

func (c *conn) release() {
	c.room.request, c.room.response = cleared(c.header), cleared(c.response.header)
	c.room.fields = nil
	if n := len(c.head.Fields); cap(c.head.Fields) <= mostFields {
		clear(c.head.Fields)
		clear(c.room.values[:min(n, len(c.room.values))])
		c.room.fields = c.head.Fields[:0]
	} else {
		c.room.values = nil
	}
	rooms.Put(c.room)
	c.room, c.buf, c.r, c.w = nil, nil, 0, 0
	c.header, c.response.header = nil, nil
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
