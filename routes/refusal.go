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
	s := servings.Get().(*serving)
	s.take(w, r)
	s.begin(t, &aim{route: t.none}, w, r)
	s.accept(w, r, "")
	defer s.finish()
	s.refuse(f)
}
