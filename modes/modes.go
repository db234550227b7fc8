package modes

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// New builds what answers the calls of route. It checks what only the mode can
// check, such as a folder that must be there, and starts nothing. A handler that
// holds something is an io.Closer, to be closed when no call uses it any more.
func New(route *schema.Route, d Deps) (http.Handler, error) {
	switch route.Mode {
	}
	return nil, fmt.Errorf("route %q: mode %q is not one of http, streaming, serializing, afterburn, static", route.Name, route.Mode)
}

// Deps are what a mode needs besides its route.
type Deps struct {
	Log    *slog.Logger
	Errors string // server.errors: the form in which failures are written
}

// Respond answers a call that failed, in the form that Errors asks for. What is the
// program's own form of problem+json is the same as the function Respond.
func (d Deps) Respond(w http.ResponseWriter, r *http.Request, err error) { Respond(w, r, err) }

// The optional faces of the http.ResponseWriter that routes gives to a mode. They
// are found by type assertion, so that a mode also works behind any other server.
type (
	// instanceSetter is told which instance answers, for the access line.
	instanceSetter interface{ SetInstance(name string) }
	// queueWaiter is told how long a call waited for an instance.
	queueWaiter interface{ AddQueueWait(d time.Duration) }
	// toucher is told of activity inside an upgraded connection.
	toucher interface{ Touch() }
)
