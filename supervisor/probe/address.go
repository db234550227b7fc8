package probe

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// Address is where an instance listens. A server that listens on localhost may mean
// 127.0.0.1 or ::1: an Address that may be Either finds out which. Its methods may be called
// by many goroutines.
type Address struct {
	Stated schema.Endpoint // as the configuration says
	Port   int             // of Stated
	Either bool            // it may be the same port of ::1 in the place of 127.0.0.1

	six     atomic.Bool            // it is
	adopted atomic.Pointer[string] // it is none of them
}

// Adopt has Endpoint be another address from now on, where the instance was seen to listen.
func (a *Address) Adopt(address string) { a.adopted.Store(&address) }

// Endpoint is where the instance listens, as far as is known.
func (a *Address) Endpoint() schema.Endpoint {
	u := a.Stated
	if other := a.adopted.Load(); other != nil {
		u.Address, u.Host = *other, *other
	} else if a.six.Load() {
		u.Address = net.JoinHostPort("::1", strconv.Itoa(a.Port))
		u.Host = u.Address
	}
	return u
}

// Other has Endpoint be the other loopback address from now on, if it may be either.
func (a *Address) Other() {
	if a != nil && a.Either {
		a.six.Store(!a.six.Load())
	}
}

// Reset has Endpoint be as Stated again.
func (a *Address) Reset() {
	if a != nil {
		a.six.Store(false)
	}
}

// Find finds out which loopback address an instance listens on that is ready though no
// connection has been made there.
func (a *Address) Find(ctx context.Context) {
	for range 2 {
		u := a.Endpoint()
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, u.Network, u.Address)
		if err == nil {
			_ = conn.Close()
			return
		}
		a.Other() // the second time it is as before
	}
}
