package server

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// Hijack hands the connection to the handler, with what was read from it ahead.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.c.hijacked {
		return nil, nil, http.ErrHijacked
	}
	c := w.c
	if err := w.send(); err != nil {
		return nil, nil, err
	}
	c.hijacked = true
	if c.limited.Swap(false) {
		_ = c.nc.SetDeadline(time.Time{})
	}
	ahead := bytes.Clone(c.buf[c.r:c.w])
	in := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(ahead), c.nc), max(512, len(ahead)))
	if len(ahead) > 0 {
		if _, err := in.Peek(len(ahead)); err != nil {
			return nil, nil, err
		}
	}
	return c.nc, bufio.NewReadWriter(in, bufio.NewWriterSize(c.nc, 512)), nil
}

// SetReadDeadline sets the deadline of reading the request, until the handler returns.
func (w *response) SetReadDeadline(t time.Time) error {
	w.c.limited.Store(true)
	return w.c.nc.SetReadDeadline(t)
}

// SetWriteDeadline sets the deadline of writing the response, until the handler returns.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.c.limited.Store(true)
	return w.c.nc.SetWriteDeadline(t)
}

// EnableFullDuplex says that the handler reads the body to its end also after the response
// has begun, so that the connection may be kept. Both go on at the same time without it, too.
func (w *response) EnableFullDuplex() error {
	w.c.body.toTheEnd = true
	return nil
}

// Fields returns the fields of the request's head.
func (w *response) Fields() *http1.Fields { return &w.c.head.Fields }

// RequestHeader returns the same as an http.Header, which is used again after the request.
func (w *response) RequestHeader() http.Header {
	c := w.c
	c.header = cleared(c.header)
	c.values = c.head.Fields.Into(c.header, c.values)
	return c.header
}

// Arrived is when the head of the request was complete.
func (w *response) Arrived() time.Time { return w.c.arrived }

// Gone reports whether the client has closed its connection, or the half that it sends on.
func (w *response) Gone() bool { return w.c.gone() }
