package modes

import (
	"net/http"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/supervisor"
)

// guest is a call in the hands of an instance, which may have to end it. It is part of
// what the call keeps anyway.
type guest struct {
	*call.Call
	seat supervisor.Seat
	r    *http.Request
}

// enter makes the call a guest of i, until leave.
func (g *guest) enter(i host, c *call.Call, r *http.Request) {
	g.Call, g.r = c, r
	g.seat.Guest = g
	i.Enter(&g.seat)
}

// host is what guests need of an instance.
type host interface {
	Enter(*supervisor.Seat)
	Leave(*supervisor.Seat)
}

func (g *guest) leave(i host) {
	i.Leave(&g.seat)
	g.Call, g.r = nil, nil
}

// String is the call as an operator knows it, without its query, which may hold secrets.
func (g *guest) String() string { return g.r.Method + " " + g.r.URL.Path + " from " + g.r.RemoteAddr }
