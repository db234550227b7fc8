package modes

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/modes/forking"
	"github.com/watchdogd/watchdogd/modes/proxy"
	"github.com/watchdogd/watchdogd/modes/proxy/endpoint"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// New builds what answers the calls of route. It checks what only the mode can
// check, such as a folder that must be there, and starts nothing. A handler that
// holds something is an io.Closer, to be closed when no call uses it any more.
func New(route *schema.Route, d Deps) (http.Handler, error) {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	handler, err := newMode(route, d)
	if err != nil {
		return nil, fmt.Errorf("route %s: %w", route.Name, err)
	}
	if route.Compress {
		return newCompressed(handler)
	}
	return handler, nil
}

// Output returns what the programs of a handler of New print to standard error, or nil
// where the supervisor has their output, or there are none.
func Output(handler any) *child.Output {
	if c, ok := handler.(*compressed); ok {
		handler = c.next
	}
	if p, ok := handler.(interface{ Output() *child.Output }); ok {
		return p.Output()
	}
	return nil
}

// Upstreams are the servers of a route that are run elsewhere.
type Upstreams struct {
	Endpoints []Endpoint
	Problem   string // why its name was not resolved; "" is that it was
}

// Endpoint is how one of them stands.
type Endpoint = endpoint.Status

// UpstreamsOf returns the servers of a handler of New, and the name of its route, which is
// empty where the supervisor has them, or there are none.
func UpstreamsOf(handler any) (route string, all Upstreams) {
	if c, ok := handler.(*compressed); ok {
		handler = c.next
	}
	if p, ok := handler.(interface {
		Endpoints() (string, []Endpoint, string)
	}); ok {
		route, all.Endpoints, all.Problem = p.Endpoints()
	}
	return route, all
}

func newMode(route *schema.Route, d Deps) (http.Handler, error) {
	switch route.Mode {
	case schema.HTTP:
		return proxy.New(route, proxy.Deps{Process: proxy.Supervised(d.Process), Tasks: d.Tasks, Log: d.Log, SniffTypes: d.Compat.SniffTypes,
			Fail: Responder(d.Errors, route), Concludes: isGRPC, Conclude: endGRPC})
	case schema.Streaming, schema.Serializing:
		return forking.New(route, forking.Options{Process: d.Process, Log: d.Log, MissingAllowed: d.Compat.MissingAllowed, Printing: d.Printing,
			Forking: d.Forking, Echo: d.Echo, Await: d.Await, Respond: Responder(d.Errors, route)})
	case schema.Afterburn:
		return newAfterburn(route, d)
	case schema.Static:
		return newStatic(route, d)
	}
	return nil, fmt.Errorf("mode %q is not one of %s", route.Mode, strings.Join(schema.Modes(), ", "))
}

// Deps are what a mode needs besides its route.
type Deps struct {
	Process *supervisor.Process // of a route with a long-lived process; nil for others
	Tasks   proxy.Tasks         // of a function that an engine runs; nil for others
	Log     *slog.Logger        // nil discards
	Errors  string              // server.errors: the form in which failures are written
	Compat  schema.Compat       // the zero value is watchdogd's own ways

	// Of the forking modes.
	Printing child.Printing      // of what programs print that is no response
	Forking  func(*http.Request) // is told of each call before its program is started; may be nil
	Echo     io.Writer           // also gets what programs print as their responses; may be nil
	// Await waits, within a call, until what the route depends on is ready; nil for none.
	Await func(ctx context.Context) error
}

// Spills reports whether calls of route may need temporary files: a body that is held as a
// whole, or the files of a form.
func Spills(route *schema.Route) bool {
	return route.Mode == schema.Serializing || route.Mode == schema.Afterburn ||
		route.BufferBody || route.Form != "" || route.Request == "json"
}

// aLongTimeAgo is a deadline that makes reads and writes return at once.
var aLongTimeAgo = time.Unix(1, 0)

func malformed(detail string) error {
	return &failure.Error{Kind: failure.Malformed, Detail: detail}
}
