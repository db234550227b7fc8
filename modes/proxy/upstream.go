package proxy

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1/client"
	"github.com/watchdogd/watchdogd/schema"
)

// upstream is one server: how it is reached, and the connections to it.
type upstream struct {
	schema.Endpoint
	name     string        // in the access line
	patience time.Duration // of client.NewDialer
	http1    *client.Client
	h2c      *http.Transport // instead of http1
}

// newUpstream returns an upstream without connections; patience is that of client.NewDialer.
func newUpstream(name string, at schema.Endpoint, patience time.Duration, log *slog.Logger) *upstream {
	u := &upstream{name: name, Endpoint: at, patience: patience}
	if u.H2C {
		u.h2c = newH2C(at, patience)
	} else {
		u.http1 = client.New(u.Network, u.Address, log)
		u.http1.Patience = patience
	}
	return u
}

// Close closes the connections that no call uses; the others end with their calls.
func (u *upstream) Close() error {
	if u.h2c != nil {
		u.h2c.CloseIdleConnections()
	}
	if u.http1 != nil {
		return u.http1.Close()
	}
	return nil
}
