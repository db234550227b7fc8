package routes

import (
	"log/slog"

	"github.com/watchdogd/watchdogd/internal/http1/server"
	"github.com/watchdogd/watchdogd/schema"
)

// NewServer gives the server of the main listener: HTTP/1.1, HTTP/2 by prior
// knowledge and, with TLS, by negotiation. What happens on its connections is logged at
// level debug. The caller may set more fields, such as TLSConfig, and serves:
//
//	err := server.Serve(listener)             // or tls.NewListener(listener, server.TLSConfig)
//
// What is no request is refused by l.
func NewServer(s schema.Server, l *Live, log *slog.Logger) *server.Server {
	return &server.Server{
		Handler:   l,
		Refuse:    l.refuse,
		Header:    s.Timeouts.Header.D(),
		Read:      s.Timeouts.Read.D(),
		Write:     s.Timeouts.Write.D(),
		Idle:      s.Timeouts.Idle.D(),
		MaxHeader: int(s.MaxHeader),
		Log:       log,
	}
}
