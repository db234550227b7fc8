package functions

import (
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/swarm"
)

// answerer answers the calls of a function, and counts them, by which it is scaled. The handler
// is made by the first call: a function that is not called costs little memory.
type answerer struct {
	function *swarm.Function
	make     func() (http.Handler, error)
	refuse   func(error) http.Handler

	once    sync.Once
	mu      sync.Mutex
	handler http.Handler // nil until the first call
	closed  bool
}

func (a *answerer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.function.Enter()
	defer a.function.Leave()
	a.once.Do(a.build)
	a.handler.ServeHTTP(w, r)
}

func (a *answerer) build() {
	h, err := a.make()
	if err != nil {
		h = a.refuse(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handler = h
	if a.closed { // its name is another's by now; this call goes on
		closeHandler(h)
	}
}

// Close closes the connections that no call uses.
func (a *answerer) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed && a.handler != nil {
		closeHandler(a.handler)
	}
	a.closed = true
	return nil
}

func closeHandler(h http.Handler) {
	if c, ok := h.(io.Closer); ok {
		_ = c.Close() // idle connections: nothing can be lost
	}
}

// endpoints are the tasks that calls are given to, and how they stand.
func (a *answerer) endpoints() []modes.Endpoint {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.handler == nil {
		return nil
	}
	_, up := modes.UpstreamsOf(a.handler)
	return up.Endpoints
}

// refused answers all calls with one failure.
type refused struct {
	respond func(http.ResponseWriter, *http.Request, error)
	why     *failure.Error
}

// refusal is the answer of a function that cannot be served.
func refusal(log *slog.Logger, errors, name string, err error) refused {
	log.Error("function not served", "function", name, "error", err.Error())
	route := schema.DefaultRoute()
	route.Name = name
	return refused{modes.Responder(errors, &route), &failure.Error{Kind: failure.NotReady, Route: name, Detail: "the function is not served: see the log of watchdogd", Local: err.Error(), Cause: err}}
}

func (f refused) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.respond(w, r, f.why) }
