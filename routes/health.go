package routes

import (
	"io"
	"net/http"
	"strings"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// Health answers /_/health, /_/ready and /_/ready/NAME, which no route can take.
// Probes are neither logged nor counted.
type Health struct {
	// Live reports why the daemon should be replaced, or nil.
	Live func() error

	// Ready reports why the route or service called name, or with an empty name the
	// whole, should get no calls, or nil. A *failure.Error says how it is answered: of
	// kind NoRoute for a name that does not exist.
	Ready func(name string) error
}

// healthPrefix begins the paths that are ours.
const healthPrefix = "/_/"

// probe gives the question that a path asks, nil if it is none.
func (h *Health) probe(path string) func() error {
	if !strings.HasPrefix(path, healthPrefix) {
		return nil
	}
	switch rest := path[len(healthPrefix):]; {
	case rest == "health":
		return h.Live
	case rest == "ready":
		return func() error { return h.Ready("") }
	case strings.HasPrefix(rest, "ready/") && len(rest) > len("ready/"):
		return func() error { return h.Ready(rest[len("ready/"):]) }
	}
	return nil
}

// answer answers a probe: 200, or 503 with the reason.
func (l *Live) answer(w http.ResponseWriter, r *http.Request, probe func() error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		l.Respond(w, r, &failure.Error{Kind: failure.Method, Allow: "GET, HEAD", Detail: "a probe is a GET"})
		return
	}
	if err := probe(); err != nil {
		f := failure.Of(err)
		if f.Kind == failure.Internal {
			f = &failure.Error{Kind: failure.NotReady, Detail: err.Error()}
		}
		l.Respond(w, r, f)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", "2")
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "OK") // the prober has gone
}
