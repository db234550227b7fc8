package proxy

import (
	"net/http"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/supervisor"
)

// Guest is a call in the hands of an instance, which may have to end it. It is part of
// what the call keeps anyway.
type Guest struct {
	*call.Call
	seat supervisor.Seat
	r    *http.Request
}

// Enter makes the call a guest of i, until Leave.
func (g *Guest) Enter(i Host, c *call.Call, r *http.Request) {
	g.Call, g.r = c, r
	g.seat.Guest = g
	i.Enter(&g.seat)
}

// Host is what guests need of an instance.
type Host interface {
	Enter(*supervisor.Seat)
	Leave(*supervisor.Seat)
}

// Leave ends what Enter began.
func (g *Guest) Leave(i Host) {
	i.Leave(&g.seat)
	g.Call, g.r = nil, nil
}

// String is the call as an operator knows it, without its query, which may hold secrets.
func (g *Guest) String() string { return g.r.Method + " " + g.r.URL.Path + " from " + g.r.RemoteAddr }
