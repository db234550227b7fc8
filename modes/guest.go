package modes

import (
	"net/http"

	"github.com/watchdogd/watchdogd/supervisor"
)

// guest is a call in the hands of an instance, which may have to end it. It is part of
// what the call keeps anyway.
type guest struct {
	seat supervisor.Seat
	w    http.ResponseWriter
	r    *http.Request
}

// enter makes the call a guest of i, until leave.
func (g *guest) enter(i host, w http.ResponseWriter, r *http.Request) {
	g.w, g.r = w, r
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
	g.w, g.r = nil, nil
}

// EndStream ends an event stream or an upgraded connection; see supervisor.Guest.
func (g *guest) EndStream() bool {
	l, ok := face[leaver](g.w)
	return ok && l.EndStream()
}

// Cut ends the call.
func (g *guest) Cut(why error) {
	if l, ok := face[leaver](g.w); ok {
		l.Cut(why)
	}
}

// String is the call as an operator knows it, without its query, which may hold secrets.
func (g *guest) String() string { return g.r.Method + " " + g.r.URL.Path + " from " + g.r.RemoteAddr }

// face finds what has T among w and the writers behind it.
func face[T any](w http.ResponseWriter) (T, bool) {
	for {
		if t, ok := w.(T); ok {
			return t, true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			var none T
			return none, false
		}
		w = u.Unwrap()
	}
}
