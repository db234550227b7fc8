package routes

import (
	"net/http"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1/server"
)

// refuse answers what is no request that could be routed: in the words of all other
// failures, counted and logged like them.
func (l *Live) refuse(w http.ResponseWriter, r *http.Request, why *server.Refusal) {
	f := &failure.Error{Kind: failure.Malformed, Detail: why.Detail}
	if why.TooLarge {
		f.Kind = failure.HeaderTooLarge
	}
	t := l.hold()
	if t == nil {
		l.Respond(w, r, f)
		return
	}
	x := exchanges.Get().(*exchange)
	x.begin(t, t.none, r.Context(), x)
	x.accept(w, r, "")
	defer x.finish()
	x.refuse(f)
}
