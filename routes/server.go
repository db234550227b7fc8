package routes

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// NewServer gives the server of the main listener: HTTP/1.1, HTTP/2 by prior
// knowledge and, with TLS, by negotiation. What net/http says of its connections is
// logged at level debug. The caller may set more fields, such as TLSConfig, and serves:
//
//	err := server.Serve(listener)             // or ServeTLS(listener, "", "")
//
// After a request that could be framed in two ways the connection is closed; a
// malformed one is answered with 400, a head over MaxHeaderBytes with 431, and
// closed as well.
func NewServer(s schema.Server, h http.Handler, log *slog.Logger) *http.Server {
	var restate func([]byte, net.Addr) []byte
	if l, ok := h.(*Live); ok {
		restate = l.restate
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:                      h,
		Protocols:                    protocols,
		ReadHeaderTimeout:            bound(s.Timeouts.Header),
		ReadTimeout:                  s.Timeouts.Read.D(),
		WriteTimeout:                 s.Timeouts.Write.D(),
		IdleTimeout:                  bound(s.Timeouts.Idle),
		MaxHeaderBytes:               int(s.MaxHeader),
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext:                  func(ctx context.Context, c net.Conn) context.Context { return withConn(ctx, c, restate) },
		DisableGeneralOptionsHandler: true,
	}
}

// bound is d, or none for 0: net/http takes a 0 of these for its ReadTimeout.
func bound(d schema.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d.D()
}
